// A camera's track in, the same person with another background out: made by a greenroom server, over WebRTC.
// The returned track stays the same through lost connections and restarts of the server. It is grey until
// the server's pictures are there, and while the person is hidden; the camera's own never get into it.
//   const greenroom = createGreenroom({ server: "https://host/", token, settings: { background: "blur" } });
//   const processed = greenroom.process(cameraTrack);

const GREY = "#262a30";
const GATHERING_MS = 500; // candidates that are found later are not needed: the server's are enough
const CONNECTING_MS = 8000;
const SILENCE_MS = 3000; // the server says something every second
const [FIRST_WAIT_MS, LONGEST_WAIT_MS] = [250, 2000];
const MAX_BITRATE = 2_500_000;
const FASTER = "$&a=fmtp:$1 x-google-start-bitrate=1500\r\n"; // Chromium begins with 300 kbit/s and small pictures
const ICE_SERVER = /<([^>]*)>; rel="ice-server"(?:; username="([^"]*)"; credential="([^"]*)")?/g; // RFC 9725, 4.6

// The returned track: pictures of the track that is shown, or grey.
function createOutput() {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const isChromium = "MediaStreamTrackGenerator" in window;
  const track = isChromium ? new MediaStreamTrackGenerator({ kind: "video" }) : canvas.captureStream().getTracks()[0];
  const writer = track.writable?.getWriter();
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  let shown = null;
  const paintGrey = (width = canvas.width, height = canvas.height) => {
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.fillStyle = GREY;
    context.fillRect(0, 0, width, height);
  };

  // In Chromium frames are passed on as they come, in a hidden tab too.
  const put = (picture) => {
    const frame = new VideoFrame(picture, { timestamp: Math.round(1000 * performance.now()) });
    return writer.write(frame).catch(() => frame.close()); // the track was stopped
  };
  const passOn = async (source) => {
    const reader = new MediaStreamTrackProcessor({ track: source, maxBufferSize: 1 }).readable.getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      if (shown === source) await put(read.value);
      else paintGrey(read.value.displayWidth, read.value.displayHeight);
      read.value.close();
    }
  };
  // Other browsers draw them. These do not slow down the timers of a page that uses WebRTC.
  const play = (source) => {
    video.srcObject = new MediaStream([source]);
    video.play().catch(() => {}); // another connection came before it began
  };
  const draw = () => {
    paintGrey(video.videoWidth || canvas.width, video.videoHeight || canvas.height);
    if (shown && video.videoWidth && video.srcObject.getTracks()[0] === shown) context.drawImage(video, 0, 0);
  };
  const refresh = isChromium ? () => shown ?? put(canvas) : draw;
  const timer = setInterval(refresh, isChromium ? 200 : 33);
  const show = (source) => ((shown = source), refresh());
  paintGrey(640, 480);
  return { track, add: isChromium ? passOn : play, show, close: () => (clearInterval(timer), track.stop()) };
}

export function createGreenroom({ server = ".", token = null, settings = {}, iceServers = null } = {}) {
  const base = new URL(server.replace(/\/?$/, "/"), location.href);
  const authorization = token ? { Authorization: `Bearer ${token}` } : {};
  const output = createOutput();
  const state = { connection: "new", status: null, settings: null, error: null };
  const wanted = { ...settings };
  const names = new Map(); // backgrounds by the server's names for them: files are uploaded again, if need be
  let [camera, link, isCovered, changes] = [null, null, false, Promise.resolve()]; // link: the present connection
  let wake = () => {}; // tries again after a refusal
  const api = { process, set, cover, close, onstate: null, stats: () => link?.pc.getStats() };
  return api;

  // Takes the camera's track, or another one in its place. Returns the processed track: always the same.
  function process(track) {
    const isFirst = !camera;
    camera = track;
    if (isFirst) stayConnected();
    else link?.sender.replaceTrack(track).catch(() => link.end());
    wake();
    return output.track;
  }

  // Changes settings. The background may be a File or Blob: it is uploaded, for this session alone.
  function set(values) {
    Object.assign(wanted, values);
    if (link?.channel.readyState === "open") send(link, values);
    wake();
  }

  // Hides the person at once, here and on the server, or shows the person again.
  function cover(on) {
    isCovered = on;
    if (link?.channel.readyState === "open") link.channel.send(JSON.stringify({ cover: on }));
    tell({});
  }

  function close() {
    if (link?.address) ask(link.address, { method: "DELETE", keepalive: true }).catch(() => {}); // it ended already
    tell({ connection: "closed" });
    output.close();
    link?.pc.close();
    link?.end();
    wake();
  }

  function tell(news) {
    Object.assign(state, news);
    output.show(state.connection === "connected" && !isCovered ? link.track : null);
    api.onstate?.({ ...state });
  }

  async function ask(address, options) {
    const response = await fetch(address, { ...options, headers: { ...authorization, ...options.headers } });
    if (response.ok) return response;
    const { name = null, message = `the server answers ${response.status}` } = await response.json().catch(() => ({}));
    const retryMs = 1000 * Number(response.headers.get("Retry-After"));
    throw Object.assign(new Error(message), { setting: name, status: response.status, retryMs });
  }

  // Changes are made in their order, though the upload of a picture takes a while.
  function send(own, values) {
    const work = async () => {
      const { background: file } = values;
      const address = `${own.address}/backgrounds?name=${encodeURIComponent(file?.name ?? "")}`;
      const isFile = file instanceof Blob;
      const { background } = isFile ? await (await ask(address, { method: "POST", body: file })).json() : values;
      names.set(background, file);
      own.channel.send(JSON.stringify({ settings: { ...values, background } }));
    };
    changes = changes.then(work).catch((error) => own === link && refuse({ name: "background", message: error.message }));
  }

  // What was refused is wanted again as the server told it last.
  function refuse(error) {
    const before = state.settings?.[error.name];
    if (error.name in wanted) wanted[error.name] = names.get(before) ?? before;
    tell({ error });
  }

  function hear({ settings, status, error, closing }) {
    link.heardMs = performance.now();
    if (closing) link.end({ ...closing, status: 503 }); // as it answers who comes now
    if (error) refuse(error);
    tell({ ...(settings && { settings, error: null }), ...(status && { status }) });
  }

  async function stayConnected() {
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
      tell({ connection: "connecting", status: null });
      const problem = await connect().catch((error) => error);
      if (state.connection === "closed") return;
      if (!(problem instanceof Error)) waitMs = FIRST_WAIT_MS;
      const { setting: name = null, status = null, message, retryMs } = problem ?? {};
      const isRefused = camera.readyState === "ended" || (status >= 400 && status < 500 && ![408, 429].includes(status));
      tell({ connection: isRefused ? "refused" : "lost", error: problem ? { name, status, message } : null });
      await new Promise((resolve) => {
        wake = isRefused ? resolve : () => {};
        if (!isRefused) setTimeout(resolve, retryMs || waitMs * (0.75 + Math.random() / 2));
      });
    }
  }

  // Makes a connection, and returns when it is lost: why, if the server has told it.
  async function connect() {
    const query = { method: "OPTIONS", signal: AbortSignal.timeout(CONNECTING_MS) };
    const links = iceServers ? null : (await ask(new URL("sessions", base), query)).headers.get("Link");
    const told = [...(links ?? "").matchAll(ICE_SERVER)].map(([, urls, username, credential]) => ({ urls, username, credential }));
    const pc = new RTCPeerConnection({ iceServers: iceServers ?? told });
    const own = { pc, channel: pc.createDataChannel("greenroom"), heardMs: performance.now() };
    link?.pc.close(); // not before: browsers slow down a hidden tab without any connection
    link = own;
    const ended = new Promise((resolve) => (own.end = resolve));
    own.sender = pc.addTransceiver(camera, { sendEncodings: [{ maxBitrate: MAX_BITRATE }] }).sender;
    pc.ontrack = ({ track }) => output.add((own.track = track));
    pc.onconnectionstatechange = () => ["failed", "closed"].includes(pc.connectionState) && own.end();
    own.channel.onclose = () => own.end();
    own.channel.onmessage = ({ data }) => own === link && hear(JSON.parse(data));
    own.channel.onopen = () => {
      cover(isCovered);
      send(own, wanted);
      tell({ connection: "connected", error: null });
    };
    await pc.setLocalDescription();
    await new Promise((resolve) => {
      pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && resolve();
      setTimeout(resolve, GATHERING_MS);
    });
    // The session begins as it is wanted; a picture that has to be uploaded first is grey until then.
    const first = wanted.background instanceof Blob ? { ...wanted, background: `color:${GREY}` } : wanted;
    const start = encodeURIComponent(JSON.stringify({ settings: first, cover: isCovered }));
    const offer = { method: "POST", headers: { "Content-Type": "application/sdp" }, body: pc.localDescription.sdp };
    const answer = await ask(new URL(`sessions?start=${start}`, base), { ...offer, signal: AbortSignal.timeout(CONNECTING_MS) });
    own.address = new URL(answer.headers.get("Location"), answer.url).href;
    const sdp = (await answer.text()).replace(/^a=rtpmap:(\d+) (VP8|H264)\/.*\r\n/gm, FASTER);
    await pc.setRemoteDescription({ type: "answer", sdp });
    own.heardMs = performance.now() + CONNECTING_MS - SILENCE_MS;
    const timer = setInterval(() => performance.now() - own.heardMs > SILENCE_MS && own.end(), 500);
    return ended.finally(() => (clearInterval(timer), (own.channel.onmessage = null)));
  }
}
