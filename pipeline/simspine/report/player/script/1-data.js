// The header and the block of numbers that report/player/pack.py wrote.

const MISSING = -32768;
const KINDS = { int16: Int16Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

function readData(headerElement, blockElement) {
  const header = JSON.parse(headerElement.textContent);
  const text = atob(blockElement.textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const arrays = {};
  for (const [name, entry] of Object.entries(header.arrays)) {
    const count = entry.shape.reduce((a, b) => a * b, 1);
    const raw = new KINDS[entry.type](bytes.buffer, entry.at, count);
    if ("scale" in entry) {
      const values = new Float32Array(count);
      for (let i = 0; i < count; i++) values[i] = raw[i] === MISSING ? NaN : raw[i] * entry.scale + entry.middle;
      arrays[name] = values;
    } else {
      arrays[name] = raw;
    }
  }
  return { header, arrays };
}

// "kept", "corrected", "rejected" or "inferred" (rejected and filled in), and the reasons, of a frame.
function statusOf(data, frame) {
  const codes = data.arrays.status;
  return codes ? data.header.status[codes[frame]] : ["kept", ""];
}

// Stretches of frames of one status as [first, last].
function stretches(data, wanted) {
  const found = [];
  for (let frame = 0; frame < data.header.frames; frame++) {
    if (statusOf(data, frame)[0] !== wanted) continue;
    const last = found[found.length - 1];
    if (last && last[1] === frame - 1) last[1] = frame;
    else found.push([frame, frame]);
  }
  return found;
}

function seconds(data, frame) {
  return data.header.start + frame / data.header.rate;
}
