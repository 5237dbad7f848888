// The form of a budget says itself as a sentence while it is filled in.

const form = document.querySelector("[data-budget-form]");
const sentence = document.getElementById("budget-sentence");

const chosenText = (select) => select.selectedOptions[0]?.textContent ?? "";

const say = () => {
  const { amount_usd: amount, renewal, time_zone: zone, whom, subject, mode } = form.elements;
  sentence.hidden = !amount.value;
  const onCalendar = !renewal.value.startsWith("rolling-") && renewal.value !== "total";
  const binds = subject.value ? `${chosenText(whom)}: ${subject.value}` : chosenText(whom);
  const then = mode.value === "observe" ? "observed only" : "then refused";
  sentence.textContent =
    `$${amount.value} ${chosenText(renewal)}${onCalendar ? `, ${zone.value}` : ""} · ${binds} · ${then}`;
};

form.addEventListener("input", say);
say();
