// Draws stacked bars into [data-chart]; the values are JSON in the element that it names.
//
// { starts: [s], names: [""], totals: [""], series: [{ name, values: [n] }], texts: [[""]] }
// Colours come from the stylesheet (.series-1 … .series-8), so a change of theme draws anew.

const reader = document.createElement("span");
reader.hidden = true;
document.body.append(reader);

const colourOf = (className, property = "color") => {
  reader.className = className;
  return getComputedStyle(reader)[property];
};

const money = (value) => {
  if (value === 0) return "$0";
  if (value >= 1000) return `$${(value / 1000).toFixed(value >= 10000 ? 0 : 1)}k`;
  return `$${Number(value.toPrecision(2))}`;
};

// Each series is drawn on top of the sum of those below it, the highest sum first.
const stacked = (series) => {
  const sums = [];
  for (const { values } of series) {
    const below = sums.at(-1);
    sums.push(values.map((value, slot) => value + (below ? below[slot] : 0)));
  }
  return sums;
};

function tipOf(host) {
  const tip = document.createElement("div");
  tip.className = "chart-tip";
  tip.hidden = true;
  host.append(tip);
  return tip;
}

function fillTip(tip, values, slot) {
  tip.replaceChildren();
  const add = (text, className) => {
    const part = document.createElement("span");
    part.textContent = text;
    part.className = className;
    tip.append(part);
    return part;
  };
  add(values.names[slot], "whole");
  values.series.forEach(({ name, values: amounts }, position) => {
    if (!amounts[slot]) return;
    const label = add("", "swatch-name");
    const swatch = document.createElement("span");
    swatch.className = `swatch series-${position + 1}`;
    label.append(swatch, name);
    add(values.texts[position][slot], "number");
  });
  add("Sum", "");
  add(values.totals[slot], "number");
}

function draw(host) {
  const source = document.getElementById(host.dataset.chart);
  if (!source || !window.uPlot) return;
  const values = JSON.parse(source.textContent);
  host.plot?.destroy();
  host.replaceChildren();

  const sums = stacked(values.series);
  const slots = values.starts.map((_, slot) => slot);
  const muted = colourOf("muted");
  const line = colourOf("chart-grid");
  const tip = tipOf(host);
  const bars = uPlot.paths.bars({ size: [0.72, 48], radius: 0 });
  const axis = { stroke: muted, font: `12px ${getComputedStyle(host).fontFamily}`, ticks: { show: false } };

  const place = (plot) => {
    const slot = plot.cursor.idx;
    tip.hidden = slot == null || plot.cursor.left < 0;
    if (tip.hidden) return;
    fillTip(tip, values, slot);
    const left = plot.bbox.left / devicePixelRatio + plot.valToPos(slot, "x");
    const isRight = left > host.clientWidth / 2;
    tip.style.left = `${isRight ? left - tip.offsetWidth - 12 : left + 12}px`;
  };

  host.plot = new uPlot(
    {
      width: host.clientWidth,
      height: host.clientHeight,
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      padding: [8, 4, 0, 0],
      scales: {
        x: { time: false, range: [-0.6, slots.length - 0.4] },
        y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 28,
          space: 72,
          incrs: [1, 2, 3, 4, 5, 6, 7, 10, 12, 14, 21, 28, 30, 60, 90],
          values: (_, splits) => splits.map((slot) => (Number.isInteger(slot) ? values.names[slot] ?? "" : "")),
        },
        { ...axis, size: 56, grid: { stroke: line, width: 1 }, space: 44, values: (_, splits) => splits.map(money) },
      ],
      series: [
        {},
        ...sums.map((_, position) => {
          const colour = colourOf(`series-${sums.length - position}`);
          return { stroke: colour, fill: colour, width: 0, paths: bars, points: { show: false } };
        }),
      ],
      hooks: { setCursor: [place] },
    },
    [slots, ...sums.toReversed()],
    host,
  );
}

const hosts = () => document.querySelectorAll("[data-chart]");
const drawAll = () => hosts().forEach(draw);

drawAll();
document.addEventListener("themechange", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
document.addEventListener("htmx:after:swap", drawAll);

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  drawAll();
});
