// A WebRTC client of werift's: node werift_client.js ADDRESS [CLIP.ivf]
// With a clip (VP8) it sends that over and over, and takes video unless the address is of WHIP; without, it
// takes video only. Each line of its input is sent on the data channel; at the end of that it ends the session.
// Its output is one JSON object a line: {"message": text of the data channel}, or {"frame": VP8, in base 64}.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, Vp8RtpPayload } from "werift";

const IVF_HEADER_BYTES = 32;
const IVF_FRAME_HEADER_BYTES = 12;
const FRAME_MS = 1000 / 30;
const FRAME_TICKS = 90_000 / 30;
const PAYLOAD_BYTES = 1100;
const PARTITION_START = 0x10; // RFC 7741, 4.2: the S bit

const [address, clip] = process.argv.slice(2);
const tell = (news) => process.stdout.write(`${JSON.stringify(news)}\n`);

function framesOf(ivf) {
  const frames = [];
  for (let at = IVF_HEADER_BYTES; at < ivf.length; ) {
    const start = at + IVF_FRAME_HEADER_BYTES;
    at = start + ivf.readUInt32LE(at);
    frames.push(ivf.subarray(start, at));
  }
  return frames;
}

// Sends the clip's frames, and begins again at its key frame where the server asks for one.
function play(frames, track, sender) {
  let [next, sent, sequenceNumber] = [0, 0, 0];
  sender.onPictureLossIndication.subscribe(() => (next = 0));
  const began = performance.now();
  const send = () => {
    const frame = frames[next++ % frames.length];
    for (let at = 0; at < frame.length; at += PAYLOAD_BYTES) {
      const part = frame.subarray(at, at + PAYLOAD_BYTES);
      const marker = at + PAYLOAD_BYTES >= frame.length;
      const header = new RtpHeader({ sequenceNumber: sequenceNumber++ & 0xffff, timestamp: sent * FRAME_TICKS, marker });
      track.writeRtp(new RtpPacket(header, Buffer.concat([Buffer.from([at ? 0 : PARTITION_START]), part])));
    }
    setTimeout(send, began + ++sent * FRAME_MS - performance.now());
  };
  send();
}

function take(track) {
  let parts = [];
  track.onReceiveRtp.subscribe(({ header, payload }) => {
    parts.push(Vp8RtpPayload.deSerialize(payload).payload);
    if (!header.marker) return;
    tell({ frame: Buffer.concat(parts).toString("base64") });
    parts = [];
  });
}

const pc = new RTCPeerConnection({ iceServers: [], iceUseIpv6: false, iceAdditionalHostAddresses: ["127.0.0.1"] });
pc.onTrack.subscribe(take);
const channel = pc.createDataChannel("greenroom");
channel.onmessage = ({ data }) => tell({ message: String(data) });

const track = new MediaStreamTrack({ kind: "video" });
const direction = !clip ? "recvonly" : address.includes("/whip/") ? "sendonly" : "sendrecv";
const { sender } = pc.addTransceiver(clip ? track : "video", { direction });
await pc.setLocalDescription(await pc.createOffer());
const headers = { "Content-Type": "application/sdp" };
const answer = await fetch(address, { method: "POST", headers, body: pc.localDescription.sdp });
const sdp = await answer.text();
if (!answer.ok) throw new Error(`the server answers ${answer.status}: ${sdp}`);
const session = new URL(answer.headers.get("Location"), address);
await pc.setRemoteDescription({ type: "answer", sdp });
if (clip) play(framesOf(readFileSync(clip)), track, sender);
for await (const line of createInterface({ input: process.stdin })) channel.send(line);
await fetch(session, { method: "DELETE" });
await pc.close();
process.stdout.write("", () => process.exit());
