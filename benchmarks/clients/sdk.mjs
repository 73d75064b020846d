// A client on the JavaScript SDK: every method that the agent offers, a line for each thing seen.
// node sdk.mjs FOLDER-OF-node_modules WORKSPACE COMMAND...
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { readFile, writeFile } from "node:fs/promises";
import { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const [modules, workspace, ...command] = process.argv.slice(2);
const found = createRequire(`${modules}/`).resolve("@agentclientprotocol/sdk");
const acp = await import(pathToFileURL(found));
const { agent, client } = acp.methods;

const say = (what, fact) => console.log(JSON.stringify({ what, fact }));
const choices = ["allow_once", "reject", "allow_always"];

async function connected(body) {
  const child = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const stream = acp.ndJsonStream(Writable.toWeb(child.stdin), Readable.toWeb(child.stdout));
  let updates = [];
  await acp
    .client({ name: "probe" })
    .onRequest(client.session.requestPermission, ({ params }) => {
      say("permission", {
        title: params.toolCall.title,
        kinds: params.options.map((option) => option.kind),
        content: params.toolCall.content.map((part) => part.type),
      });
      return { outcome: { outcome: "selected", optionId: choices.shift() } };
    })
    .onRequest(client.fs.readTextFile, async ({ params }) => ({
      content: await readFile(params.path, "utf-8"),
    }))
    .onRequest(client.fs.writeTextFile, async ({ params }) => {
      await writeFile(params.path, params.content);
      return {};
    })
    .onNotification(client.session.update, ({ params }) => updates.push(params.update))
    .connectWith(stream, async (context) => {
      const hello = await context.request(agent.initialize, {
        protocolVersion: acp.PROTOCOL_VERSION,
        clientCapabilities: { fs: { readTextFile: true, writeTextFile: true } },
        clientInfo: { name: "probe", version: "1" },
      });
      say("initialize", { version: hello.protocolVersion, capabilities: hello.agentCapabilities });
      const take = () => updates.splice(0);
      await body((method, params) => context.request(method, params), take, context);
    });
  child.stdin.end();
  say("exit status", await ended);
}

const said = (seen) =>
  seen.filter((update) => update.sessionUpdate === "agent_message_chunk")
    .map((update) => update.content.text).join("");

async function refused(what, doing) {
  try {
    await doing();
    say(what, "accepted");
  } catch (error) {
    say(what, { code: error.code, message: error.message });
  }
}

let session;
await connected(async (request, take, context) => {
  ({ sessionId: session } = await request(agent.session.new, { cwd: workspace, mcpServers: [] }));
  const ask = async (text) => {
    const prompt = [{ type: "text", text }];
    const { stopReason } = await request(agent.session.prompt, { sessionId: session, prompt });
    const seen = take();
    const kinds = seen.map((update) => update.sessionUpdate + (update.status ? ` ${update.status}` : ""));
    say(`prompt: ${text}`, { stopReason, said: said(seen), updates: kinds });
  };
  await ask("read the notes");
  await ask("write the notes");
  await ask("write them again");
  await ask("and a third time");
  await ask("and a fourth time");
  await request(agent.session.setMode, { sessionId: session, modeId: "read-only" });
  await ask("write, read-only");
  const { configOptions } = await request(agent.session.setConfigOption, {
    sessionId: session, configId: "mode", value: "ask",
  });
  say("options", configOptions.map((option) => `${option.id}=${option.currentValue}`));
  const long = request(agent.session.prompt, {
    sessionId: session, prompt: [{ type: "text", text: "count for ever" }],
  });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await context.notify(agent.session.cancel, { sessionId: session });
  say("cancelled", await long);
  take();
  await ask("still there?");
  const { sessions } = await request(agent.session.list, { cwd: workspace });
  say("list", sessions.map((each) => each.title));
  await request(agent.session.close, { sessionId: session });
  await refused("prompt after close", () =>
    request(agent.session.prompt, { sessionId: session, prompt: [{ type: "text", text: "?" }] }));
  await refused("a method that is not there", () => request("session/frob", {}));
  await refused("a session about no folder", () =>
    request(agent.session.new, { cwd: `${workspace}/nowhere`, mcpServers: [] }));
});

await connected(async (request, take) => {
  const place = { sessionId: session, cwd: workspace, mcpServers: [] };
  await request(agent.session.load, place);
  await new Promise((resolve) => setTimeout(resolve, 500)); // handlers run after the answer, too
  const seen = take();
  say("load", { updates: seen.length, asked: seen.filter((u) => u.sessionUpdate === "user_message_chunk").length });
  await request(agent.session.resume, place);
  say("resume", take().length);
});
