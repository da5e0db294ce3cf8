#!/usr/bin/env python3
"""Draws docs/overlap.svg out of two traces: how SSGD and OD-SGD use the same machine and the same emulated link.

    python3 docs/draw-overlap.py SSGD_RUN ODSGD_RUN docs/overlap.svg

The runs are folders that `onestep train ... --set output.trace=2000` wrote. bench/overlap-picture makes both and calls this.
"""
import json, sys

ITERATIONS, LEFT, WIDTH, ROW, GAP = 4, 92, 868, 22, 7
COLORS = {"compute": "#4878a8", "local update": "#e8a33d", "wait for weights": "#ffffff", "wait for data": "#dddddd",
          "global update": "#7a5195", "push on the link": "#5fa55a", "answer on the link": "#b5655e"}
ROWS = ["worker 0", "worker 1", "link in", "server", "link out"]


def read(folder):
    events = json.load(open(folder + "/trace.json"))
    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    events = [dict(e, row=names[e["tid"]]) for e in events if e["ph"] == "X"]
    last = max(e["args"]["iteration"] for e in events if e["row"] == "worker 0")
    first = last - 2 * ITERATIONS
    # a worker begins iteration i with the first thing it does in it
    starts = {i: min(e["ts"] for e in events if e["row"] == "worker 0" and e["args"]["iteration"] == i) for i in range(first, last)}
    return events, starts, first


def panel(events, starts, first, title, top, span, out):
    begin = starts[first]
    x = lambda ts: LEFT + (ts - begin) / span * WIDTH
    out.append(f'<text x="{LEFT}" y="{top - 22}" class="title">{title}</text>')
    for r, name in enumerate(ROWS):
        y = top + r * (ROW + GAP)
        out.append(f'<text x="{LEFT - 8}" y="{y + ROW - 7}" class="row">{name}</text>')
        out.append(f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{ROW}" fill="#f4f4f4"/>')
        for e in events:
            a, b = e["ts"], e["ts"] + e["dur"]
            if e["row"] != name or b < begin or a > begin + span or e["name"] not in COLORS or e["name"].startswith("wait"):
                continue
            a, b = max(a, begin), min(b, begin + span)
            out.append(f'<rect x="{x(a):.2f}" y="{y}" width="{max(x(b) - x(a), 0.4):.2f}" height="{ROW}" fill="{COLORS[e["name"]]}"/>')
    bottom = top + len(ROWS) * (ROW + GAP)
    for i, ts in starts.items():
        if begin <= ts <= begin + span:
            out.append(f'<line x1="{x(ts):.2f}" y1="{top - 6}" x2="{x(ts):.2f}" y2="{bottom - GAP}" class="tick"/>')
            if x(ts) < LEFT + WIDTH - 70:
                out.append(f'<text x="{x(ts) + 3:.2f}" y="{top - 7}" class="step">iteration {i}</text>')
    mean = (starts[first + 2 * ITERATIONS - 1] - starts[first]) / (2 * ITERATIONS - 1) / 1000
    return mean


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    ssgd, odsgd = read(sys.argv[1]), read(sys.argv[2])
    span = ssgd[1][ssgd[2] + ITERATIONS - 1] - ssgd[1][ssgd[2]]
    out, height = [], 2 * (len(ROWS) * (ROW + GAP) + 64) + 52
    a = panel(*ssgd, "", 60, span, [])
    b = panel(*odsgd, "", 60, span, [])
    panel(*ssgd, f"SSGD: a worker waits for W<tspan dy='4' font-size='10'>t+1</tspan><tspan dy='-4'>; {a:.1f} ms an iteration</tspan>", 60, span, out)
    second = 60 + len(ROWS) * (ROW + GAP) + 64
    panel(*odsgd, f"OD-SGD: it goes on from W<tspan dy='4' font-size='10'>t</tspan><tspan dx='5' dy='-4'>and its own gradient; {b:.1f} ms an iteration</tspan>", second, span, out)
    legend, lx = height - 14, LEFT
    for name in ["compute", "local update", "push on the link", "global update", "answer on the link"]:
        out.append(f'<rect x="{lx}" y="{legend - 10}" width="12" height="12" fill="{COLORS[name]}"/><text x="{lx + 17}" y="{legend}" class="step">{name}</text>')
        lx += 40 + 7 * len(name)
    out.append(f'<text x="{LEFT + WIDTH}" y="{legend}" class="step" text-anchor="end">{span / 1000:.0f} ms shown; emulated link; grey: waiting</text>')
    style = (".title{font:600 15px sans-serif;fill:#222}.row{font:12px sans-serif;text-anchor:end;fill:#444}"
             ".step{font:11px sans-serif;fill:#555}.tick{stroke:#222;stroke-width:1;stroke-dasharray:2 2}")
    with open(sys.argv[3], "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 16} {height}" width="{LEFT + WIDTH + 16}" height="{height}">'
                   f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(out) + "\n</svg>\n")


main()
