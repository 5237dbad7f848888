// The official OpenAI SDK for Node. Says and tells what scripts/script.py describes.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { text as textOf } from "node:stream/consumers";
import { z } from "zod";

const { mounts, keys, failures, weather, look, brokenStream } = JSON.parse(await textOf(process.stdin));
const Forecast = z.object({ city: z.string(), days: z.number().int() });

const connect = (url, key) => new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
const said = (content) => [{ role: "user", content }];

const told = (answer) => {
  const [choice] = answer.choices;
  const calls = choice.message.tool_calls ?? [];
  return {
    text: choice.message.content ?? "",
    finish: choice.finish_reason,
    calls: calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
    tokens: [answer.usage.prompt_tokens, answer.usage.completion_tokens],
  };
};

const tools = (text, isStream) => async (url) => {
  const client = connect(url, keys.good);
  const asked = { model: "fake/tools", tools: [weather], parallel_tool_calls: true };
  const first = isStream
    ? await client.chat.completions
        .stream({ ...asked, messages: said(text), stream_options: { include_usage: true } })
        .finalChatCompletion()
    : await client.chat.completions.create({ ...asked, messages: said(text) });
  const { message } = first.choices[0];
  const results = message.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "sunny" }));
  const second = await client.chat.completions.create({
    ...asked,
    messages: [...said(text), message, ...results],
  });
  const ids = new Set(results.map((result) => result.tool_call_id)).size;
  return { ...told(first), ids, then: second.choices[0].message.content };
};

const steps = {
  plain: async (url) =>
    told(await connect(url, keys.good).chat.completions.create({ model: "fake/echo", messages: said("hello") })),

  streamed: async (url) =>
    told(
      await connect(url, keys.good)
        .chat.completions.stream({
          model: "fake/echo",
          messages: said("hello"),
          stream_options: { include_usage: true },
        })
        .finalChatCompletion(),
    ),

  tools: tools("hello", false),
  "parallel tools": tools("[[calls 2]]", false),
  "streamed tools": tools("[[calls 2]]", true),

  schema: async (url) => {
    const answer = await connect(url, keys.good).chat.completions.parse({
      model: "fake/echo",
      messages: said("hello"),
      response_format: zodResponseFormat(Forecast, "forecast"),
    });
    return answer.choices[0].message.parsed;
  },

  image: async (url) =>
    told(await connect(url, keys.good).chat.completions.create({ model: "fake/vision", messages: said(look) })),

  reasoning: async (url) => {
    const answer = await connect(url, keys.good).chat.completions.create({
      model: "fake/reasoner",
      messages: said("hello"),
      reasoning_effort: "low",
    });
    const details = answer.usage.completion_tokens_details;
    const thought = answer.choices[0].message.reasoning.length;
    return { ...told(answer), reasoning: details.reasoning_tokens, thought };
  },

  ...Object.fromEntries(
    Object.entries(failures).map(([name, [key, model, text, parameters]]) => [
      name,
      (url) =>
        connect(url, keys[key]).chat.completions.create({ model, messages: said(text), ...parameters }),
    ]),
  ),

  "broken stream": async (url) => {
    const stream = await connect(url, keys.good).chat.completions.create({
      model: "fake/ten-chunks",
      messages: said(brokenStream),
      stream: true,
    });
    let read = "";
    try {
      for await (const chunk of stream) {
        read += chunk.choices.map((choice) => choice.delta.content ?? "").join("");
      }
    } catch (raised) {
      return { raised: raised.constructor.name, code: raised.code, before: read };
    }
    return read;
  },
};

const results = {};
for (const [mount, url] of Object.entries(mounts)) {
  results[mount] = {};
  for (const [name, step] of Object.entries(steps)) {
    try {
      results[mount][name] = await step(url);
    } catch (raised) {
      results[mount][name] = { raised: raised.constructor.name, status: raised.status, code: raised.code };
    }
  }
}
process.stdout.write(JSON.stringify(results));
