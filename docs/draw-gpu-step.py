#!/usr/bin/env python3
"""Draws docs/gpu-step.svg: which stream runs what in OD-SGD's steps t to t+2 on a GPU, and the events between them. A sketch: lengths are made up.

    python3 docs/draw-gpu-step.py docs/gpu-step.svg
"""
import sys

BUCKETS, LOCAL, FORWARD, BACKWARD, UPDATE, COPY, ENQUEUE = 4, 0.22, 0.9, 1.5, 0.5, 1.2, 1.3
STEP = BUCKETS * (LOCAL + FORWARD + BACKWARD)
LEFT, UNIT, SPAN = 128, 37, 2.46 * STEP
LANE, ROWS = 15, {"CPU thread": 52, "feeding": 98, "worker": 144, "server": 238}
COLORS = {"forward capture": "#4878a8", "backward capture": "#7fa3c7", "local update": "#e8a33d", "global update": "#7a5195", "copy of a batch": "#5fa55a", "enqueueing": "#666666"}
EVENTS = {"gradient there": "#b5655e", "answer there": "#7a5195", "batch there": "#3f7d3a", "loss there": "#222222"}
out = []


def x(time):
    return LEFT + time * UNIT


def box(row, begin, length, kind, label="", lane=0, height=26):
    end = min(begin + length, SPAN)
    if end <= max(begin, 0):
        return
    begin, y = max(begin, 0), ROWS[row] + lane
    out.append(f'<rect x="{x(begin):.1f}" y="{y}" width="{(end - begin) * UNIT:.1f}" height="{height}" fill="{COLORS[kind]}"/>')
    if label and end == begin + length:
        out.append(f'<text x="{x((begin + end) / 2):.1f}" y="{y + height / 2 + 4}" class="in">{label}</text>')


def arrow(begin, top, end, bottom, kind):
    if 0 <= begin and end <= SPAN:
        out.append(f'<path d="M{x(begin):.1f},{top} C{x(begin):.1f},{(top + bottom) / 2} {x(end):.1f},{(top + bottom) / 2} {x(end):.1f},{bottom}" fill="none" stroke="{EVENTS[kind]}" '
                   f'stroke-width="1.2" marker-end="url(#{kind.split()[0]})"/>')


def name(t):
    return "t" if t == 0 else f"t+{t}"


def forward_at(t, bucket):
    return t * STEP + (BUCKETS - 1 - bucket) * (LOCAL + FORWARD)


def backward_end(t, bucket):
    return t * STEP + BUCKETS * (LOCAL + FORWARD) + (bucket + 1) * BACKWARD


def loss_at(t):
    return t * STEP + BUCKETS * (LOCAL + FORWARD)


def step(t):
    worker = ROWS["worker"]
    for bucket in range(BUCKETS):
        at = forward_at(t, bucket)
        box("worker", at, LOCAL, "local update")
        box("worker", at + LOCAL, FORWARD - 0.04, "forward capture", str(bucket))
        box("worker", backward_end(t, bucket) - BACKWARD, BACKWARD, "backward capture", str(bucket))
        lane, updated = (BUCKETS - 1 - bucket) * LANE, backward_end(t, bucket) + 0.15
        box("server", updated, UPDATE, "global update", str(bucket), lane, LANE - 2)
        arrow(backward_end(t, bucket), worker + 26, updated, ROWS["server"] + lane, "gradient there")
        arrow(updated + UPDATE, ROWS["server"] + lane, forward_at(t + 2, bucket) if t == 0 else SPAN + 1, worker + 27, "answer there")
    if loss_at(t) < SPAN:
        box("CPU thread", loss_at(t), ENQUEUE, "enqueueing", name(t + 2))
        arrow(loss_at(t), worker, loss_at(t) + 0.02, ROWS["CPU thread"] + 27, "loss there")
    box("feeding", t * STEP, COPY, "copy of a batch", name(t + 1))
    arrow(t * STEP + COPY, ROWS["feeding"] + 26, (t + 1) * STEP, worker - 1, "batch there")


def frame():
    for row, y in ROWS.items():
        height = BUCKETS * LANE if row == "server" else 26
        out.append(f'<text x="{LEFT - 10}" y="{y + height / 2 + 4}" class="row">{row}{" stream" if row in ("feeding", "worker") else "s streams" if row == "server" else ""}</text>'.replace("servers", "server’s"))
        out.append(f'<rect x="{LEFT}" y="{y}" width="{SPAN * UNIT:.1f}" height="{height}" fill="#f4f4f4"/>')
    for t in range(3):
        out.append(f'<line x1="{x(t * STEP):.1f}" y1="36" x2="{x(t * STEP):.1f}" y2="{ROWS["server"] + BUCKETS * LANE}" class="tick"/>')
        out.append(f'<text x="{x(t * STEP) + 4:.1f}" y="36" class="step">the GPU computes step {name(t)}</text>')


def legend(y):
    at = LEFT
    for kind, color in COLORS.items():
        out.append(f'<rect x="{at}" y="{y - 10}" width="12" height="12" fill="{color}"/><text x="{at + 17}" y="{y}" class="step">{kind}</text>')
        at += 40 + 6.3 * len(kind)
    at, y = LEFT, y + 22
    for kind, color in EVENTS.items():
        out.append(f'<line x1="{at}" y1="{y - 4}" x2="{at + 18}" y2="{y - 4}" stroke="{color}" stroke-width="1.6" marker-end="url(#{kind.split()[0]})"/><text x="{at + 25}" y="{y}" class="step">event: {kind}</text>')
        at += 84 + 6.3 * len(kind)
    out.append(f'<text x="{at}" y="{y}" class="step">0 to 3: buckets; a sketch, not measured</text>')


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    frame()
    for t in range(-1, 3):
        step(t)
    bottom = ROWS["server"] + BUCKETS * LANE + 32
    legend(bottom)
    width, height = LEFT + SPAN * UNIT + 16, bottom + 34
    style = (".row{font:12px sans-serif;text-anchor:end;fill:#444}.step{font:11px sans-serif;fill:#555}.in{font:10px sans-serif;text-anchor:middle;fill:#fff}"
             ".tick{stroke:#222;stroke-width:1;stroke-dasharray:2 2}")
    heads = "".join(f'<marker id="{kind.split()[0]}" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="5" markerHeight="5" orient="auto"><path d="M0,0 L6,3 L0,6 z" fill="{color}"/></marker>'
                    for kind, color in EVENTS.items())
    with open(sys.argv[1], "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}"><style>{style}</style><defs>{heads}</defs>'
                   f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(out) + "\n</svg>\n")


main()
