(() => {
"use strict";
const box = document.getElementById("view"), data = JSON.parse(document.getElementById("view-data").textContent);
const canvas = box.querySelector("canvas"), ink = canvas.getContext("2d"), tip = box.querySelector(".tip");
const slider = box.querySelector("input[type=range]"), clock = box.querySelector("output");
const play = box.querySelector(".play"), legend = box.querySelector(".legend");
const longest = Math.max(...data.courses.map(c => c.at[0].length));
const hidden = new Set(), start = {yaw: -0.6, pitch: 0.5, zoom: 1};
let turn = {...start}, now = longest - 1, timer = 0, hover = null, seen = [];
slider.max = longest - 1;
slider.value = now;
const flat = data.axes.length < 3;
if (flat) turn.yaw = turn.pitch = start.yaw = start.pitch = 0;

const time = k => data.first + k * data.dt;
const epoch = ms => (data.epochs.find(e => ms > e[1] && ms <= e[2]) || [""])[0];
function project(x, y, z) {
  const [cy, sy, cp, sp] = [Math.cos(turn.yaw), Math.sin(turn.yaw), Math.cos(turn.pitch), Math.sin(turn.pitch)];
  const across = cy * x + sy * z, deep = cy * z - sy * x;
  const scale = turn.zoom * 0.42 * Math.min(canvas.clientWidth, canvas.clientHeight) / 10000;
  return [canvas.clientWidth / 2 + scale * across, canvas.clientHeight / 2 - scale * (cp * y + sp * deep)];
}
function line(from, to, colour, width) {
  ink.strokeStyle = colour;
  ink.lineWidth = width;
  ink.beginPath();
  ink.moveTo(...from);
  ink.lineTo(...to);
  ink.stroke();
}
function path(course, end, colour, width) {
  const [x, y, z] = course.at;
  ink.strokeStyle = colour;
  ink.lineWidth = width;
  ink.lineJoin = "round";
  ink.beginPath();
  for (let k = 0; k <= end; k++) ink.lineTo(...project(x[k], y[k], z[k] || 0));
  ink.stroke();
}
function disc([x, y], size, fill, edge) {
  ink.beginPath();
  ink.arc(x, y, size, 0, 7);
  ink.fillStyle = fill;
  ink.fill();
  if (edge) {
    ink.strokeStyle = edge;
    ink.lineWidth = 2;
    ink.stroke();
  }
}
function square([x, y], size, fill) {
  ink.fillStyle = fill;
  ink.fillRect(x - size, y - size, 2 * size, 2 * size);
}
function draw() {
  const dots = window.devicePixelRatio || 1;
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight].map(n => Math.round(n * dots));
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  ink.setTransform(dots, 0, 0, dots, 0, 0);
  ink.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  ink.font = "13px Arimo,Arial,Helvetica,sans-serif";
  data.axes.forEach((name, k) => {
    const end = [0, 0, 0];
    end[k] = 10000;
    const tip = project(...end);
    line(project(...end.map(x => -x)), tip, "#c3cad1", 1);
    ink.fillStyle = "#5a6672";
    ink.textAlign = tip[0] > canvas.clientWidth - 90 ? "right" : "left";
    ink.fillText(name, Math.min(Math.max(tip[0] + 4, 4), canvas.clientWidth - 4), Math.min(Math.max(tip[1] - 4, 14), canvas.clientHeight - 6));
  });
  seen = [];
  data.courses.forEach((course, n) => {
    if (hidden.has(n)) return;
    const end = Math.min(now, course.at[0].length - 1);
    path(course, course.at[0].length - 1, course.colour + "40", 1);
    path(course, end, course.colour, 2);
    for (let k = 0; k <= end; k++) seen.push([project(course.at[0][k], course.at[1][k], course.at[2][k] || 0), n, k]);
    disc(project(course.at[0][0], course.at[1][0], course.at[2][0] || 0), 3, "#787878");
    disc(project(course.at[0][end], course.at[1][end], course.at[2][end] || 0), 5, course.colour);
  });
  if (!hidden.has("points")) for (const [kind, at, held] of data.points) {
    const place = project(...at);
    seen.push([place, `${kind} fixed point${held ? ", " + held : ""}`, at]);
    if (kind === "saddle") disc(place, 4, "#fff", "#d55e00"); else if (kind === "stable") disc(place, 4, "#000"); else square(place, 3.5, "#0072b2");
  }
  const ms = time(now), name = epoch(ms);
  clock.textContent = `${Math.round(ms)} ms${name ? ", " + name : ""}`;
  slider.setAttribute("aria-valuetext", clock.textContent);
  tip.hidden = !hover;
  if (hover) {
    // A fixed point is drawn over the trajectories, so it comes before those that run through it.
    const away = s => Math.hypot(s[0][0] - hover[0], s[0][1] - hover[1]), isMark = s => typeof s[1] === "string" && away(s) < 7;
    const near = seen.map(s => [isMark(s) ? away(s) - 14 : away(s), s]).sort((a, b) => a[0] - b[0])[0];
    if (!near || near[0] > 14) tip.hidden = true;
    else {
      const [place, n, k] = near[1];
      const isPoint = typeof n === "string", at = isPoint ? k : data.courses[n].at.map(a => a[k]);
      const numbers = data.axes.map((axis, i) => (at[i] * data.reach).toPrecision(3)).join(", ");
      const name = isPoint ? n : `${data.by === "trials" ? "" : data.by + " "}${data.courses[n].name}, ${Math.round(time(k))} ms, ${epoch(time(k))}`;
      tip.textContent = `${name}: (${numbers})`;
      tip.style.left = Math.min(place[0] + 12, canvas.clientWidth - 190) + "px";
      tip.style.top = place[1] + 12 + "px";
      ink.lineWidth = 1.5;
      ink.strokeStyle = "#1c2126";
      ink.beginPath();
      ink.arc(...place, 7, 0, 7);
      ink.stroke();
    }
  }
}
function go(k) {
  now = k;
  slider.value = k;
  draw();
}
function stop() {
  clearInterval(timer);
  timer = 0;
  play.textContent = "Play";
}
play.addEventListener("click", () => {
  if (timer) return stop();
  if (now >= longest - 1) go(0);
  play.textContent = "Pause";
  timer = setInterval(() => now >= longest - 1 ? stop() : go(now + 1), Math.max(20, 5000 / longest));
});
slider.addEventListener("input", () => {
  stop();
  go(Number(slider.value));
});
box.querySelector(".reset").addEventListener("click", () => {
  turn = {...start};
  draw();
});
function entry(key, name, colour) {
  const button = document.createElement("button"), mark = document.createElement("i");
  button.type = "button";
  button.setAttribute("aria-pressed", "true");
  mark.style.background = colour;
  button.append(mark, name);
  button.addEventListener("click", () => {
    hidden.has(key) ? hidden.delete(key) : hidden.add(key);
    button.setAttribute("aria-pressed", String(!hidden.has(key)));
    draw();
  });
  legend.append(button);
}
data.courses.forEach((course, n) => entry(n, course.name, course.colour));
if (data.points.length) entry("points", "fixed points", "#000");
let last = null;
canvas.addEventListener("pointerdown", event => {
  last = [event.clientX, event.clientY];
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointerup", () => last = null);
canvas.addEventListener("pointercancel", () => last = null);
canvas.addEventListener("pointerleave", () => {
  hover = null;
  draw();
});
canvas.addEventListener("pointermove", event => {
  const frame = canvas.getBoundingClientRect();
  hover = [event.clientX - frame.left, event.clientY - frame.top];
  if (last && !flat) {
    turn.yaw += (event.clientX - last[0]) / 150;
    turn.pitch = Math.max(-1.57, Math.min(1.57, turn.pitch + (event.clientY - last[1]) / 150));
    last = [event.clientX, event.clientY];
  }
  draw();
});
canvas.addEventListener("wheel", event => {
  if (document.activeElement !== canvas) return;
  event.preventDefault();
  turn.zoom = Math.max(0.3, Math.min(20, turn.zoom * Math.exp(-event.deltaY / 400)));
  draw();
}, {passive: false});
canvas.addEventListener("keydown", event => {
  const keys = {
    ArrowLeft: () => turn.yaw -= 0.1, ArrowRight: () => turn.yaw += 0.1,
    ArrowUp: () => turn.pitch = Math.max(-1.57, turn.pitch - 0.1), ArrowDown: () => turn.pitch = Math.min(1.57, turn.pitch + 0.1),
    "+": () => turn.zoom = Math.min(20, turn.zoom * 1.2), "=": () => turn.zoom = Math.min(20, turn.zoom * 1.2),
    "-": () => turn.zoom = Math.max(0.3, turn.zoom / 1.2), Home: () => turn = {...start},
  };
  if (!keys[event.key] || flat && event.key.startsWith("Arrow")) return;
  event.preventDefault();
  keys[event.key]();
  draw();
});
window.addEventListener("resize", draw);
draw();
})();
