#!/usr/bin/env node
// Real browsers against examples/browser: data channels whose ICE is frazil's on one side and the
// browser's own on the other. A case is a row of the table below.
//
// The browsers run in a network namespace, the program in another one, with a wire between them:
// nothing here reaches this machine's network. This script starts itself again inside the first.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const ROOT = new URL("../../", import.meta.url).pathname;
// Where install.sh puts the driver: outside of the folders that are searched from here.
const BUILT = ROOT + "target/interop/browser/puppeteer-core/";

// ---------------------------------------------------------------- the table

const OFFERERS = ["browser", "program"];

// What `hidden`, `program` and the rest stand for is said at `Case`.
function rows(browser) {
  const row = (fields) => new Case({ browser, ...fields });
  const all = [];
  for (const hidden of [false, true]) {
    for (const offerer of OFFERERS) {
      for (const signalling of ["trickle", "complete"]) {
        // Who closes alternates, so that both ways are seen in all combinations of the rest.
        all.push(row({ offerer, signalling, hidden, closes: all.length % 2 ? "program" : "browser" }));
      }
    }
  }
  for (const offerer of OFFERERS) {
    all.push(row({ offerer, program: ["--lite"], closes: offerer }));
    all.push(row({ offerer, then: ["browser restarts", "program restarts"], closes: "program" }));
    all.push(row({ offerer, then: ["program restarts", "browser restarts"], closes: "browser" }));
    all.push(row({ offerer, signalling: "complete", then: ["program restarts", "browser restarts"] }));
    if (browser === "chromium") all.push(row({ offerer, embeds: true, then: ["program restarts"] }));
  }
  all.push(row({ program: ["--lite"], then: ["browser restarts", "program restarts"] }));
  all.push(row({ then: ["both restart"] }));
  all.push(row({ program: V4, then: ["program's address changes"] }));
  // Firefox closes its channels in the moment in which the address of their path goes.
  if (browser !== "firefox") all.push(row({ program: V4, then: ["browser's address changes"] }));
  for (const transport of ["udp", "tcp"]) {
    all.push(row({ program: ["--relay-only", "--turn-transport", transport, "--turn", TURN], path: "relay" }));
    // Firefox drops the connection to its relay with the farewell still in it.
    all.push(row({ relay: transport, program: V4, path: "relay", closes: "program" }));
  }
  for (const offerer of OFFERERS) {
    // With UDP dropped on the way, the browser opens a TCP connection to the program.
    all.push(row({ offerer, program: ["--tcp"], udp: false, then: ["browser restarts", "program restarts"] }));
    // Neither knows an address of the other one until a name is resolved.
    all.push(row({ offerer, hidden: true, program: ["--mdns", "gather"], closes: "program" }));
  }
  return all;
}

/** The program keeps to IPv4, so that its pages can be reached over IPv6 whatever happens to that. */
const V4 = ["--bind", "192.0.2.1", "--bind", "192.0.2.11"];

const PROGRAM = "[2001:db8::1]";

/** The account of a coturn that runs on the program's host. */
const [USER, PASSWORD, SERVER] = ["frazil", "secret", "192.0.2.1:3478"];
const TURN = `${USER}:${PASSWORD}@${SERVER}`;

class Case {
  constructor({ browser, offerer = "browser", signalling = "trickle", hidden = false, relay = null, path = null, embeds = false, udp = true, program = [], then = [], closes = "browser" }) {
    /** chromium or firefox. */
    this.browser = browser;
    /** Who makes the first offer. */
    this.offerer = offerer;
    /** Candidates one by one, or all in the description. */
    this.signalling = signalling;
    /** The browser tells names for its addresses, so that it is met as a peer-reflexive candidate. */
    this.hidden = hidden;
    /** The transport to the relay beside which the browser uses nothing: udp or tcp. */
    this.relay = relay;
    /** The kind of candidate that must be on one end of the selected pair. */
    this.path = path;
    /** The browser takes DTLS from checks, which is an experiment of Chromium. */
    this.embeds = embeds;
    /** Whether UDP gets from one host to the other. */
    this.udp = udp;
    /** Flags of the program. */
    this.program = program;
    /** What happens after the first messages, from STEPS; after each, messages again. */
    this.then = then;
    /** Who closes. */
    this.closes = closes;
  }
  get name() {
    const program = this.program === V4 ? ["IPv4"] : this.program;
    return [
      `${this.browser}, ${this.offerer} offers, ${this.signalling}`,
      ...(this.hidden ? ["hidden addresses"] : []),
      ...(this.embeds ? ["DTLS in checks"] : []),
      ...(this.udp ? [] : ["without UDP"]),
      ...(this.relay ? [`relayed over ${this.relay}`] : []), ...program, ...this.then, `${this.closes} closes`,
    ].join(", ");
  }
}

// ------------------------------------------------------------- what is checked

const CONNECT_DEADLINE = 60_000;
const MESSAGE_DEADLINE = 30_000;
const CLOSE_DEADLINE = 20_000;
const ROAM_DEADLINE = 40_000;
/** A program looks at its addresses every second. */
const WATCH = 2_500;
const CYCLES = 20;
/** Kilobytes by which the program may have grown from the first cycle to the last: less than a
 * session has, so that one that is not given back shows. */
const GROWTH = 1024;

class Failure extends Error {}

/** Connects, talks, does the steps, closes. The milliseconds from the page to its first echo. */
async function runCase(test, browsers, programs) {
  const program = await programs.with(test.program);
  const browser = await browsers.with(test.browser, test.hidden, test.embeds);
  if (!test.udp) dropUdp();
  const page = await open(browser, program, test);
  try {
    await connected(page, test);
    const first = await page.evaluate(() => frazil.firstEcho);
    if (test.embeds) await embedded(page);
    await talk(page);
    for (const step of test.then) {
      await STEPS[step](page, program);
      await connected(page, test);
      await talk(page);
    }
    await close(page, test.closes);
    await sound(page, program);
    return first;
  } catch (error) {
    throw new Failure(`${error.message}\n${await describe(page)}`);
  } finally {
    await page.close().catch(() => {});
  }
}

async function open(browser, program, test) {
  const page = await browser.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  await page.setViewport({ width: 1200, height: 1000 });
  const query = new URLSearchParams({ offerer: test.offerer, signalling: test.signalling });
  if (test.relay) {
    query.set("policy", "relay");
    query.set("servers", JSON.stringify([
      { urls: `turn:${SERVER}?transport=${test.relay}`, username: USER, credential: PASSWORD },
    ]));
  }
  await page.goto(`${program.url}?${query}`);
  return page;
}

/** Waits for something to be true in the page. */
async function until(page, what, deadline, condition, ...values) {
  const begin = performance.now();
  for (;;) {
    if (await page.evaluate(condition, ...values)) return;
    if (performance.now() - begin > deadline) throw new Failure(`not within ${deadline / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Both sides are connected in all layers. */
async function connected(page, test) {
  await until(page, "an open channel and its first echo", CONNECT_DEADLINE, () =>
    frazil.channel?.readyState === "open" && frazil.firstEcho !== null);
  await until(page, "both sides connected, over pairs that both know", CONNECT_DEADLINE, agree, test.path);
  const told = await page.evaluate(() => frazil.candidates.map(({ address }) => address));
  if (test.signalling === "trickle" && told.some((host) => host?.endsWith(".local")) !== test.hidden) {
    throw new Failure(`the browser's addresses were to be ${test.hidden ? "hidden" : "told"}: ${told}`);
  }
}

/** In the page: both sides are connected, and the pair that the browser sends on is one that the
 * program takes data on. It need not be the one that the program sends on: see the quirks in the README.
 * That messages arrive both ways is seen by `talk`. With `kind`, an end of it is such a candidate. */
async function agree(kind) {
  const { connection, report } = frazil;
  if (!["connected", "completed"].includes(report?.ice.state)) return false;
  if (!["connected", "completed"].includes(connection.iceConnectionState)) return false;
  if (connection.signalingState !== "stable") return false;
  const selected = report.ice.pairs.find(({ selected }) => selected);
  if (kind && ![selected?.local.kind, selected?.remote.kind].includes(kind)) return false;
  const stats = await connection.getStats();
  const all = [...stats.values()];
  // Firefox marks the pair itself, Chromium names it in the transport.
  const id = all.find(({ type }) => type === "transport")?.selectedCandidatePairId;
  const pair = stats.get(id) ?? all.find(({ type, selected }) => type === "candidate-pair" && selected);
  if (!selected || !pair) return false;
  const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
  if (!local || !remote) return false;
  // An address that the page may not know is compared by its port alone.
  const same = (mine, { address }) => {
    const host = mine.address ?? "";
    const at = address.lastIndexOf(":");
    if (Number(address.slice(at + 1)) !== mine.port) return false;
    return host === "" || host.includes("(") || host.endsWith(".local") || address.slice(0, at).replace(/[[\]]/g, "") === host;
  };
  return report.ice.pairs.some((pair) => same(local, pair.remote) && same(remote, pair.local));
}

/** Flights of the browser's handshake have come in its checks. */
async function embedded(page) {
  await page.waitForFunction(() => frazil.report?.embedding.support !== "Unknown", { timeout: MESSAGE_DEADLINE });
  const { support, received } = await page.evaluate(() => frazil.report.embedding);
  if (support !== "Yes" || received === 0) throw new Failure(`DTLS in checks: ${support}, ${received} packets`);
}

/** Messages of all kinds come back as they were, in order. */
async function talk(page) {
  await page.evaluate(() => {
    frazil.messages = [];
    frazil.sent = ["first", "", "grüße, 氷 ❄", "x".repeat(60_000), new Uint8Array([0, 1, 2, 255]), new Uint8Array(40_000).fill(7), new Uint8Array(0), "last"];
    for (const message of frazil.sent) frazil.channel.send(message);
  });
  await until(page, "all messages back", MESSAGE_DEADLINE, () => frazil.messages.length >= frazil.sent.length);
  const wrong = await page.evaluate(() => {
    const text = (message) => typeof message === "string" ? message : "bytes " + new Uint8Array(message).join();
    const [sent, back] = [frazil.sent.map(text), frazil.messages.map(text)];
    return sent.length !== back.length || sent.some((message, index) => message !== back[index]);
  });
  if (wrong) throw new Failure("what came back is not what was sent");
}

/** All layers end on both sides, each told by the other one. */
async function close(page, closes) {
  if (closes === "browser") {
    await page.evaluate(() => frazil.close());
    await until(page, "the program noticing the end", CLOSE_DEADLINE, () => frazil.closed !== null);
    const reason = await page.evaluate(() => frazil.closed);
    if (reason !== "closed by the browser") throw new Failure(`the program says: ${reason}`);
  } else {
    await page.evaluate(() => frazil.closeProgram());
    await until(page, "the browser noticing the end", CLOSE_DEADLINE, () => frazil.channelClosed === true && frazil.closed !== null);
    const reason = await page.evaluate(() => frazil.closed);
    if (reason !== "closed by the program") throw new Failure(`the program says: ${reason}`);
  }
}

/** Nothing went wrong that nobody has noticed. */
async function sound(page, program) {
  const errors = [...page.faults, ...await page.evaluate(() => frazil.errors), ...program.faults.splice(0)];
  if (errors.length > 0) throw new Failure(errors.join("; "));
}

async function describe(page) {
  const text = await page.evaluate(async () => {
    const { connection, channel, report, notes, errors, closed } = frazil;
    const state = connection && {
      ice: connection.iceConnectionState, signalling: connection.signalingState,
      local: connection.localDescription?.sdp, remote: connection.remoteDescription?.sdp,
      pairs: [...(await connection.getStats()).values()].filter(({ type }) => type.includes("candidate")),
    };
    const log = document.getElementById("log").innerText.split("\n");
    return JSON.stringify({ log, state, channel: channel?.readyState, echoed: frazil.echoed, messages: frazil.messages.length, notes, errors, closed, report }, null, 1);
  }).catch((error) => `the page is gone: ${error.message}`);
  return [...page.faults, text].join("\n");
}

// ---------------------------------------------------------------- steps

/** A new generation on both sides. */
async function restarted(page, restart, expected = 1) {
  const ufrags = () => {
    const ufrag = (description) => description.sdp.match(/^a=ice-ufrag:(.*)$/m)[1].trim();
    const { localDescription, remoteDescription, signalingState } = frazil.connection;
    return signalingState === "stable" && [ufrag(localDescription), ufrag(remoteDescription)];
  };
  const before = await page.evaluate(ufrags);
  await page.evaluate(restart);
  const begin = performance.now();
  for (;;) {
    const now = await page.evaluate(ufrags);
    if (now && now.every((ufrag, index) => ufrag !== before[index])) return;
    if (performance.now() - begin > CONNECT_DEADLINE) throw new Failure("no new credentials on both sides");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const STEPS = {
  "browser restarts": (page) => restarted(page, () => frazil.restart()),
  "program restarts": (page) => restarted(page, () => frazil.restartProgram()),
  "both restart": (page) => restarted(page, () => { frazil.restartProgram(); frazil.restart(); }),
  "program's address changes": (page) => changeAddress(page, hosts.program, "192.0.2.1", "192.0.2.11"),
  "browser's address changes": (page) => changeAddress(page, hosts.browser, "192.0.2.2", "192.0.2.12"),
};

/** The address of the selected pair goes, and another one takes its place. Signalling, which is over
 * IPv6, goes on; the path has to be found anew. */
async function changeAddress(page, host, gone, come) {
  const selected = () => page.evaluate(() => JSON.stringify(frazil.report.ice.pairs.find(({ selected }) => selected) ?? {}));
  const before = await selected();
  if (!before.includes(gone + ":")) throw new Failure(`the selected pair does not use ${gone}: ${before}`);
  changed = true;
  host.run(`ip address del ${gone}/24 dev wire`, `ip address add ${come}/24 dev wire`, "ip route replace default dev wire");
  await until(page, `a path by ${come}`, ROAM_DEADLINE, (come) =>
    JSON.stringify(frazil.report.ice.pairs.find(({ selected }) => selected) ?? {}).includes(come + ":"), come);
}

// ---------------------------------------------------------------- memory

/** Connections that come and go leave the program where it was. */
async function cycles(browsers, programs) {
  const program = await programs.with([]);
  const browser = await browsers.with("chromium", false);
  const used = () => Number(readFileSync(`/proc/${program.process.pid}/status`, "utf8").match(/^VmRSS:\s+(\d+) kB/m)[1]);
  let first = null;
  for (let cycle = 0; cycle < CYCLES; cycle += 1) {
    const test = new Case({ browser: "chromium", offerer: OFFERERS[cycle % 2] });
    const page = await open(browser, program, test);
    await connected(page, test);
    await STEPS[cycle % 3 ? "browser restarts" : "program restarts"](page);
    await connected(page, test);
    await talk(page);
    await close(page, OFFERERS[(cycle + 1) % 2]);
    await sound(page, program);
    await page.close();
    first ??= used();
  }
  const grown = used() - first;
  if (grown > GROWTH) throw new Failure(`the program has grown by ${grown} kB since the first of ${CYCLES} cycles`);
  return grown;
}

// ---------------------------------------------------------------- hosts, programs, browsers

/** The browsers' host is the one that this script runs in. */
class Host {
  constructor(enter = []) {
    this.enter = enter;
  }
  run(...commands) {
    for (const command of commands) {
      const [program, ...words] = [...this.enter, ...command.split(" ")];
      const { status, stderr, error } = spawnSync(program, words, { encoding: "utf8" });
      if (error || status !== 0) throw new Failure(`${command}: ${error ?? stderr}`);
    }
  }
}

const hosts = {};

/** Two hosts with a wire between them, each with a default route, since a browser uses only the
 * addresses of that. The other namespace ends with this process. */
async function makeHosts() {
  const holder = spawn("unshare", ["--net", "sh", "-c", "echo; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise((resolve, reject) => {
    holder.stdout.once("data", resolve);
    holder.once("exit", () => reject(new Failure("no network namespace")));
  });
  hosts.browser = new Host();
  hosts.program = new Host(["nsenter", "--target", String(holder.pid), "--net"]);
  hosts.browser.run(`ip link add wire type veth peer name wire netns ${holder.pid}`);
  setAddresses();
  return holder;
}

/** Whether a step has changed addresses. */
let changed = false;

/** Whether UDP is dropped. */
let deaf = false;

function dropUdp() {
  hosts.program.run("nft add table inet deaf", "nft add chain inet deaf in { type filter hook input priority 0 ; }",
    "nft add rule inet deaf in iifname wire meta l4proto udp drop");
  deaf = true;
}

/** Gives the hosts UDP and their addresses back, and the programs the time to see it. */
async function restoreHosts() {
  if (deaf) hosts.program.run("nft delete table inet deaf");
  deaf = false;
  if (!changed) return;
  changed = false;
  setAddresses();
  await new Promise((resolve) => setTimeout(resolve, WATCH));
}

function setAddresses() {
  for (const [host, number] of [[hosts.program, 1], [hosts.browser, 2]]) {
    host.run(
      "ip link set lo up", "ip link set wire addrgenmode none", "ip link set wire up",
      "ip address flush dev wire",
      `ip address add 192.0.2.${number}/24 dev wire`, `ip address add 2001:db8::${number}/64 dev wire nodad`,
      "ip route replace default dev wire", "ip -6 route replace default dev wire",
    );
  }
}

/** One running program for each set of flags. */
class Programs {
  constructor(path) {
    this.path = path;
    this.all = new Map();
  }
  async with(flags) {
    const key = flags.join(" ");
    if (!this.all.has(key)) this.all.set(key, await this.start(flags, 8080 + this.all.size));
    return this.all.get(key);
  }
  async start(flags, port) {
    const words = [...hosts.program.enter, this.path, "--address", "::", "--port", String(port), ...flags];
    const process = spawn(words[0], words.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    const program = { process, url: `http://${PROGRAM}:${port}/`, faults: [] };
    createInterface({ input: process.stderr }).on("line", (line) => {
      // A server that has no way for one of several addresses says so; a case fails if none has.
      if (!line.startsWith("frazil-browser: a server: ")) program.faults.push(line);
    });
    process.on("exit", (code, signal) => program.faults.push(`the program has ended: ${code ?? signal}`));
    await new Promise((resolve, reject) => {
      process.stdout.once("data", resolve);
      process.once("error", reject);
      process.once("exit", () => reject(new Failure(`the program did not start: ${program.faults}`)));
    });
    return program;
  }
  close() {
    for (const { process } of this.all.values()) process.kill();
  }
}

/** A TURN server, until it is killed. */
async function startTurnServer() {
  const words = [
    ...hosts.program.enter, "turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech", "--realm", "example.org",
    "--user", `${USER}:${PASSWORD}`, "--listening-ip", "192.0.2.1", "--relay-ip", "192.0.2.1",
    "--log-file", "stdout", "--simple-log", "--pidfile", "/dev/null", "--userdb", ":memory:",
  ];
  const server = spawn(words[0], words.slice(1), { stdio: "ignore" });
  const port = `:${Number(SERVER.split(":")[1]).toString(16).toUpperCase().padStart(4, "0")} `;
  const begin = performance.now();
  // Its listeners as its network sees them: nsenter replaces itself by what it starts.
  while (!["udp", "tcp"].every((kind) => readFileSync(`/proc/${server.pid}/net/${kind}`, "utf8").includes(port))) {
    if (server.exitCode !== null || performance.now() - begin > CONNECT_DEADLINE) throw new Failure("coturn does not listen");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return server;
}

/** One running browser for each way to treat addresses. */
class Browsers {
  constructor(paths) {
    this.paths = paths;
    this.all = new Map();
  }
  async with(name, hidden, embeds = false) {
    const key = `${name} ${hidden} ${embeds}`;
    if (!this.all.has(key)) {
      await this.close();
      this.all.set(key, await launch(name, this.paths[name], hidden, embeds));
    }
    return this.all.get(key);
  }
  async close() {
    for (const browser of this.all.values()) await browser.close();
    this.all.clear();
  }
}

export async function launch(name, executablePath, hidden, embeds = false) {
  if (!existsSync(executablePath)) throw new Failure(`${name} is missing: ${executablePath}`);
  const puppeteer = createRequire(BUILT)("puppeteer-core");
  if (name === "chromium") {
    return puppeteer.launch({
      executablePath, headless: true,
      args: [
        "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-quic",
        "--disable-sync", "--disable-gpu", "--no-first-run",
        ...(hidden ? [] : ["--disable-features=WebRtcHideLocalIpsWithMdns"]),
        ...(embeds ? ["--force-fieldtrials=WebRTC-IceHandshakeDtls/Enabled/"] : []),
      ],
    });
  }
  return puppeteer.launch({
    browser: "firefox", executablePath, headless: true,
    extraPrefsFirefox: {
      "media.peerconnection.ice.obfuscate_host_addresses": hidden,
      "network.captive-portal-service.enabled": false,
      "network.connectivity-service.enabled": false,
      "datareporting.policy.dataSubmissionEnabled": false,
      "app.update.enabled": false,
      "browser.safebrowsing.update.enabled": false,
    },
  });
}

// ---------------------------------------------------------------- command line

async function main() {
  const { values: options } = parseArgs({
    options: {
      program: { type: "string", default: ROOT + "examples/browser/target/release/frazil-browser" },
      chromium: { type: "string", default: "/usr/bin/chromium" },
      firefox: { type: "string", default: "/usr/bin/firefox-esr" },
      // Runs the cases whose name contains this.
      only: { type: "string", default: "" },
      // Leaves pictures of the page there.
      screenshots: { type: "string" },
    },
  });
  if (!existsSync(options.program)) throw new Failure(`the program is missing: ${options.program}`);
  const holder = await makeHosts();
  const server = await startTurnServer();
  const programs = new Programs(options.program);
  const browsers = new Browsers({ chromium: options.chromium, firefox: options.firefox });
  let passed = 0, failed = 0;
  // What a browser does depends on how busy the machine is: a case that fails is shown, and has one
  // more attempt.
  async function attempt(name, work, attemptsLeft = 1) {
    if (!name.includes(options.only)) return;
    let again = false;
    try {
      console.log(`ok   ${name}: ${await work()}`);
      passed += 1;
    } catch (error) {
      again = attemptsLeft > 0;
      failed += again ? 0 : 1;
      console.log(`${again ? "once more after" : "FAIL"} ${name}: ${error instanceof Failure ? error.message : error.stack}`);
    } finally {
      await restoreHosts();
    }
    if (again) await attempt(name, work, attemptsLeft - 1);
  }
  try {
    for (const browser of ["chromium", "firefox"]) {
      // Those that one running browser can do follow one another.
      const all = rows(browser).sort((a, b) => a.hidden - b.hidden || a.embeds - b.embeds);
      for (const test of all) {
        await attempt(test.name, async () => `first echo after ${(await runCase(test, browsers, programs)).toFixed(0)} ms`);
      }
      if (options.screenshots) await attempt(`${browser}, screenshots`, () => screenshots(browser, options.screenshots, browsers, programs));
    }
    await attempt(`chromium, ${CYCLES} cycles of connect, restart and close`, async () => `${await cycles(browsers, programs)} kB more than after the first`);
  } finally {
    await browsers.close();
    programs.close();
    server.kill();
    holder.kill();
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

/** Pictures for people to look at. */
async function screenshots(name, folder, browsers, programs) {
  mkdirSync(folder, { recursive: true });
  const program = await programs.with([]);
  const browser = await browsers.with(name, false);
  for (const scheme of ["light", "dark"]) {
    for (const width of [1200, 420]) {
      const test = new Case({ browser: name });
      const page = await open(browser, program, test);
      await page.setViewport({ width, height: 1000 });
      if (scheme === "dark" && name === "chromium") await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
      await connected(page, test);
      await page.evaluate(() => { frazil.channel.send("hello from the page"); });
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await page.screenshot({ path: `${folder}/${name}-${scheme}-${width}.png`, fullPage: true });
      await page.close();
      if (name === "firefox" && scheme === "dark") return "light only";
    }
  }
  return folder;
}

if (process.env.FRAZIL_HOST === undefined) {
  // Whoever is not root is root in a user namespace.
  const user = process.getuid() === 0 ? [] : ["--user", "--map-root-user"];
  const words = [...user, "--net", process.execPath, ...process.argv.slice(1)];
  const { status, error } = spawnSync("unshare", words, { stdio: "inherit", env: { ...process.env, FRAZIL_HOST: "browser" } });
  if (error) console.error(`webrtc: ${error.message}`);
  process.exit(status ?? 1);
}
await main().catch((error) => {
  console.error(`webrtc: ${error.message}`);
  process.exitCode = 1;
});
