#!/usr/bin/env node
// The ICE part of one RTCPeerConnection in headless Chromium, driven over standard input and
// output in the line protocol of `examples/peer.rs`, so that the harness can cross-wire it with
// any other peer that speaks the protocol.
//
// ICE only: the other side's session description is made up around its ICE lines, its DTLS
// fingerprint is nobody's. So DTLS never completes, nothing can be sent, and iceConnectionState
// is what counts. The browser is the DTLS client: what the other side receives is its ClientHello.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

// Where install.sh puts the driver: outside of the folders that are searched from here.
const BUILT = new URL("../../../target/interop/browser/playwright-core/", import.meta.url);

// Milliseconds that the agent outlives the end of its input.
const GRACE = 500;

const say = (line) => process.stdout.write(line + "\n");

function parseFlags() {
  try {
    const { values } = parseArgs({
      options: {
        role: { type: "string" },
        // The names of the protocol: `gather` is what the browser does by itself, hiding the
        // addresses of its host candidates behind .local names; it always queries.
        mdns: { type: "string", default: "query" },
        chromium: { type: "string", default: "/usr/bin/chromium" },
      },
    });
    if (!["controlling", "controlled"].includes(values.role)) {
      throw new Error("--role is controlling or controlled");
    }
    if (!["query", "gather"].includes(values.mdns)) {
      throw new Error("--mdns is query or gather; the browser cannot do without");
    }
    return values;
  } catch (error) {
    process.stderr.write(`chromium_peer: ${error.message}\n`);
    process.exit(2);
  }
}

async function main() {
  const options = parseFlags();
  const { chromium } = createRequire(BUILT)("playwright-core");
  const browser = await chromium.launch({
    executablePath: options.chromium,
    headless: true,
    args: [
      // Nothing but the peer connection is to use the network.
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-quic",
      "--disable-sync",
      "--disable-gpu",
      "--no-first-run",
      ...(options.mdns === "query" ? ["--disable-features=WebRtcHideLocalIpsWithMdns"] : []),
    ],
  });
  let closing = false;
  browser.on("disconnected", () => process.exit(closing ? 0 : 1));

  const page = await browser.newPage();
  page.on("pageerror", (error) => process.stderr.write(`chromium_peer: ${error}\n`));
  await page.exposeFunction("say", say);
  await page.evaluate(startPeer, options.role);

  const close = async () => {
    if (closing) return;
    closing = true;
    await page.evaluate(() => peer.close());
    await browser.close();
    process.exit(0);
  };
  // One line after the other: each may wait for the browser.
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line === "close") return close();
    await page.evaluate((line) => peer.obey(line), line);
  }
  setTimeout(close, GRACE);
}

// Runs in the page, which has no other code: it must not refer to anything outside of itself.
function startPeer(role) {
  const WATCH_INTERVAL = 100;
  const connection = new RTCPeerConnection();
  let announced = "";
  let remoteSet = false;
  // What came before there was a description to add it to; null once there is.
  let early = [];
  // Candidates that were found before their credentials have been told; null once they have.
  let untold = [];
  let version = 0;
  const told = { role, selected: "" };
  // The state of this generation has not been told: a restart leaves it as it is, without an event.
  let stateDue = false;

  say(`role ${role}`);
  connection.onicecandidate = ({ candidate }) => {
    const line = candidate === null
      ? "end-of-candidates"
      : candidate.candidate.replace(/^candidate:/, "candidate ");
    // An empty candidate is the end of one generation's, which the null after it tells as well.
    if (line === "") return;
    if (untold) untold.push(line);
    else say(line);
  };
  connection.oniceconnectionstatechange = tellState;
  // The page gets no event when it learns more of the pair, and statistics that may be old.
  const watch = setInterval(() => {
    tellRole();
    return tellSelected();
  }, WATCH_INTERVAL);

  const transport = () => connection.sctp?.transport?.iceTransport;

  function tellState() {
    stateDue = false;
    say(`state ${connection.iceConnectionState}`);
  }

  function tellRole() {
    const now = transport()?.role;
    if (!now || now === "unknown" || now === told.role) return;
    told.role = now;
    say(`role ${now}`);
  }

  async function tellSelected() {
    const stats = await connection.getStats();
    const id = [...stats.values()].find(({ type }) => type === "transport")?.selectedCandidatePairId;
    const pair = id && stats.get(id);
    if (!pair) return;
    const local = stats.get(pair.localCandidateId);
    const remote = stats.get(pair.remoteCandidateId);
    const path = local.relayProtocol ? `relay-${local.relayProtocol}` : local.protocol;
    const line = [
      endpoint(local), endpoint(remote), local.candidateType, remote.candidateType, path,
    ].join(" ");
    if (line === told.selected) return;
    told.selected = line;
    say(`selected ${line}`);
    if (stateDue) tellState();
  }

  // An address that the page may not know is told as `hidden`, or by the name that hides it.
  function endpoint({ address, port }) {
    const host = address || "hidden";
    return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  }

  async function setLocal() {
    untold = [];
    stateDue = true;
    await connection.setLocalDescription();
    const { sdp } = connection.localDescription;
    const field = (name) => sdp.match(new RegExp(`^a=${name}:(\\S+)`, "m"))[1];
    say(`credentials ${field("ice-ufrag")} ${field("ice-pwd")}`);
    untold.forEach((line) => say(line));
    untold = null;
  }

  async function setRemote(type, credentials) {
    await connection.setRemoteDescription({ type, sdp: description(type, credentials) });
    remoteSet = true;
    const waiting = early ?? [];
    early = null;
    for (const candidate of waiting) await connection.addIceCandidate(candidate);
  }

  // All of the other side's description that is not ICE is made up.
  function description(type, [ufrag, pwd]) {
    const parameters = announced.split(/\s+/).filter(Boolean);
    const value = (name) => parameters.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
    const options = ["trickle", ...(value("options")?.split(",") ?? [])];
    announced = "";
    return [
      "v=0",
      `o=- 1 ${++version} IN IP4 0.0.0.0`,
      "s=-",
      "t=0 0",
      "a=group:BUNDLE 0",
      ...(parameters.includes("lite") ? ["a=ice-lite"] : []),
      ...(value("pacing") ? [`a=ice-pacing:${value("pacing")}`] : []),
      "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
      "c=IN IP4 0.0.0.0",
      "a=mid:0",
      `a=ice-ufrag:${ufrag}`,
      `a=ice-pwd:${pwd}`,
      `a=ice-options:${[...new Set(options)].join(" ")}`,
      `a=fingerprint:sha-256 ${Array(32).fill("AA").join(":")}`,
      `a=setup:${type === "offer" ? "actpass" : "passive"}`,
      "a=sctp-port:5000",
      "",
    ].join("\r\n");
  }

  async function onCredentials(rest) {
    const credentials = rest.split(/\s+/).filter(Boolean);
    if (credentials.length !== 2) throw new Error("a username fragment and a password are wanted");
    // Whoever offers controls: also when the other side restarts, the offer is the controlling
    // side's, so that the roles stay.
    const isOfferer = (transport()?.role ?? role) === "controlling";
    if (isOfferer && connection.signalingState === "stable") await restart();
    if (connection.signalingState === "have-local-offer") return setRemote("answer", credentials);
    early ??= [];
    await setRemote("offer", credentials);
    return setLocal();
  }

  // A controlled browser becomes controlling by this, for it cannot restart without an offer. The
  // other side, which keeps its role, has to repair the conflict.
  async function restart() {
    if (!remoteSet || connection.signalingState !== "stable") throw new Error("not connected yet");
    early = [];
    connection.restartIce();
    return setLocal();
  }

  async function onCandidate(candidate) {
    if (early) early.push(candidate);
    else await connection.addIceCandidate(candidate);
  }

  const words = {
    parameters: (rest) => { announced = rest; },
    credentials: onCredentials,
    candidate: (rest) => onCandidate({ candidate: `candidate:${rest}`, sdpMid: "0" }),
    "end-of-candidates": () => onCandidate({ candidate: "", sdpMid: "0" }),
    restart,
    send() { throw new Error("not possible without DTLS"); },
  };

  window.peer = {
    async obey(line) {
      const space = line.indexOf(" ");
      const word = space < 0 ? line : line.slice(0, space);
      try {
        if (!Object.hasOwn(words, word)) throw new Error("unknown line");
        await words[word](space < 0 ? "" : line.slice(space + 1));
      } catch (error) {
        say(`error ${word.slice(0, 60)}: ${error.message.replace(/\s+/g, " ")}`);
      }
    },
    close() {
      clearInterval(watch);
      connection.close();
      say("state closed");
    },
  };

  if (role === "controlling") {
    // The offerer controls.
    connection.createDataChannel("data");
    return setLocal();
  }
  return undefined;
}

main().catch((error) => {
  process.stderr.write(`chromium_peer: ${error.message}\n`);
  process.exit(1);
});
