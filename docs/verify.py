#!/usr/bin/env python3
"""Verifies an export of the audit (JSON lines), or an evidence pack (zip), without the program that made it.

    verify.py EXPORT.jsonl|PACK.zip signing_key.pub

Needs Python 3.8 or later and nothing else. The format is docs/audit-format.md. Take the key from where you kept it when
the gateway was set up, not from a pack. Prints what is wrong; exit code 0: nothing, 1: something, 2: it can't be read.
"""
import base64, hashlib, itertools, json, re, struct, sys, zipfile, zlib

COLUMNS = {
    "requests": "time log_id seq request_id impersonation_id impersonation_seq actor_id actor_username actor_name "
                "target_id target_username target_name mode client_ip user_agent method scheme host path query action "
                "status outcome refusal banner duration_us request_bytes response_bytes content_type fields".split(),
    "events": "time log_id seq type impersonation_id actor_id actor_username target_id target_username client_ip "
              "reason ticket detail actor_name target_name mode".split(),
}
found = []

def need(true, what):
    if not true:
        raise ValueError(what)

def say(text):
    """Prints one line: what a file says of itself could else be taken for what is said of it."""
    print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))

sha256 = lambda *parts: hashlib.sha256(b"".join(parts)).digest()

# Ed25519: RFC 8032, section 5.1
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    g, h = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P

def times(n, point):
    q = (0, 1, 1, 0)
    while n:
        q, point, n = add(q, point) if n & 1 else q, add(point, point), n >> 1
    return q

def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    x = x if x * x % P == x2 else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != x2 or x == 0 and sign:
        return None
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P

BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def good(key, text, signature):
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or not a or not r or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(k, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))

def trust(keys, line):
    name, digest, key = line.split("+", 2)
    key = base64.b64decode(key, validate=True)
    need(key[0] == 1 and len(key) == 33 and sha256(name.encode(), b"\n", key)[:4].hex() == digest, "no public key: " + line)
    keys[bytes.fromhex(digest)] = key[1:]

def signed(keys, note):
    """The text of a signed note, if one of the keys has signed it."""
    text, _, signatures = note.partition("\n\n")
    if not re.fullmatch("\u2014 caddy-impersonate [A-Za-z0-9+/]+=*\n", signatures):
        return None
    data = base64.b64decode(signatures.split()[-1])
    again = base64.b64encode(data).decode() == signatures.split()[-1]  # no bit beside those that count
    return text + "\n" if again and data[:4] in keys and good(keys[data[:4]], (text + "\n").encode(), data[4:]) else None

# Leaf hashes and trees: RFC 6962, section 2.1
def number(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + number(n >> 7)

def prefixed(text):
    return number(len(text.encode())) + text.encode()

def leaf_hash(table, row):
    encoding = prefixed(table + "/1")
    for i, name in enumerate(COLUMNS[table], 1):
        if row.get(name, "") not in ("", 0):
            encoding += number(i) + prefixed(str(row[name]))
    return sha256(b"\0", encoding)

def lost_leaf(seq):
    return sha256(b"\0", prefixed("lost/1"), number(3), prefixed(str(seq)))

def append(tree, size, leaf):
    while size & 1:
        leaf, size = sha256(b"\1", tree.pop(), leaf), size >> 1
    tree.append(leaf)

def root_of(tree):
    root = tree[-1]
    for h in tree[-2::-1]:
        root = sha256(b"\1", h, root)
    return root

def included(leaf, index, size, proof):
    """The root that an inclusion proof leads to: RFC 9162, section 2.1.3.2."""
    last = size - 1
    for h in proof:
        if index & 1 or index == last:
            leaf = sha256(b"\1", h, leaf)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            leaf = sha256(b"\1", leaf, h)
        index, last = index >> 1, last >> 1
    return leaf if last == 0 else None

def checkpoint(keys, note):
    """Log, size, root, subtrees and lost places of a checkpoint; None if its signature or its tree is not good."""
    text = signed(keys, note)
    if not text:
        return None
    lines = text.split("\n")
    size, tree = int(lines[1]), [base64.b64decode(h) for h in lines[4].split()[1:]]
    if len(tree) != bin(size).count("1") or root_of(tree) != base64.b64decode(lines[2]):
        return None
    lost = {seq for l in lines[6:] if l for a, b in [l[5:].split("-")] for seq in range(int(a), int(b) + 1)}
    return lines[0].split("/", 1)[1], size, root_of(tree), tree, lost

def check_row(row):
    row["leaf"] = leaf_hash(row["table"], row)
    if row["leaf"].hex() != row["leaf_hash"]:
        found.append("changed: %(table)s, log %(log_id)s, seq %(seq)s is not the row that was recorded" % row)

def new_keys(keys, row):
    if row["table"] == "events" and row.get("type") == "signing_key_changed":
        trust(keys, json.loads(row["detail"])["key"])

def check_log(log, rows, notes, keys):
    """The rows between two checkpoints, in their order, lead from the one's tree to the other's root."""
    rows.sort(key=lambda r: r["seq"])
    tree, size, at = [], 0, 0
    for a, b in zip(rows, rows[1:]):
        if a["seq"] == b["seq"]:
            found.append("duplicate: log %s has seq %d twice" % (log, a["seq"]))
    for n, note in enumerate(notes):
        c = checkpoint(keys, note["note"])
        if not c or (c[0], c[1], c[2].hex()) != (log, note["size"], note["root_hash"]):
            found.append("checkpoint: log %s, size %s is not as it was signed" % (log, note["size"]))
            continue
        _, to, root, subtrees, lost = c
        between = {}
        while at < len(rows) and rows[at]["seq"] <= to:
            between[rows[at]["seq"]], at = rows[at], at + 1
        gone = [s for s in range(size + 1, to + 1) if s not in between and s not in lost]
        if n == 0 and gone and gone[0] == 1:
            say("log %s: seq 1 to %d can't be checked: the export begins with a later row or checkpoint" % (log, to))
        elif gone:
            found.append("missing: log %s, seq %d%s" % (log, gone[0], " and %d more" % (len(gone) - 1) if gone[1:] else ""))
        else:
            for seq in range(size + 1, to + 1):
                append(tree, seq - 1, lost_leaf(seq) if seq in lost else between[seq]["leaf"])
            if root_of(tree) != root:
                found.append("rewritten: log %s, seq %d to %d are not the rows that checkpoint %d was signed for" % (log, size + 1, to, to))
            else:
                for row in between.values():
                    new_keys(keys, row)
        tree, size = list(subtrees), to
    say("log %s: %d rows, %d checkpoints, the last of %d rows; %d rows wait for their checkpoint" % (log, len(rows), len(notes), size, len(rows) - at))

def check_export(lines, keys):
    head, logs, counts, end = json.loads(next(lines)), {}, {}, None
    need(head["format"] == "caddy-impersonate-export/1", "no export of the audit")
    for line in lines:
        row = json.loads(line)
        if row.get("end"):
            end = row["rows"]
        elif row["table"] in ("requests", "events", "checkpoints"):
            counts[row["table"]] = counts.get(row["table"], 0) + 1
            rows, notes = logs.setdefault(row["log_id"], ([], []))
            if row["table"] == "checkpoints":
                notes.append(row)
            else:
                check_row(row)
                rows.append(row)
    if end is None or any(counts.get(t, 0) != n for t, n in end.items() if t != "impersonations"):
        found.append("cut off: the export does not end with as many rows as it says")
    for log, (rows, notes) in sorted(logs.items()):
        check_log(log, rows, sorted(notes, key=lambda n: n["size"]), keys)

def stored(files):
    """The bytes of the one zip that holds these files in this order: so that no byte of it can be another."""
    body = directory = b""
    for name, data in files:
        head = struct.pack("<HHHHHIIIHH", 20, 0x800, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(name), 0)
        directory += b"PK\1\2" + struct.pack("<H", 20) + head + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        body += b"PK\3\4" + head + name.encode() + data
    return body + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(files), len(files), len(directory), len(body), 0)

def detail(row, kind, name):
    """A text, or a whole number, in the detail of an event."""
    try:
        said = json.loads(row["detail"])
    except ValueError:
        said = None  # what is none says nothing
    value = said.get(name) if type(said) is dict else None
    return value if type(value) is kind and (kind is str or value >= 0) else kind()

def events(rows, kind):
    return [r for r in rows if r["table"] == "events" and r["type"] == kind]

def removed(rows, own):
    """What a signed row says of those before the impersonation's that are left: the log, the last that retention let go, and
    whether the start, which is not there, was one of them: only the end says where it was."""
    start, best, first, place = events(own, "impersonation_started"), None, {}, {}
    for row in own:
        first[row["log_id"]] = min(row["seq"], first.get(row["log_id"], row["seq"]))
    for row in events(own, "impersonation_ended"):
        place[row["log_id"]] = max(detail(row, int, "start_seq"), place.get(row["log_id"], 0))
    for row in events(rows, "retention_applied"):
        log, through = detail(row, str, "log"), detail(row, int, "through")
        if through < 1 or first.get(log, 0) < 2 or start and through >= first[log]:
            continue
        shown = not start and 1 <= place.get(log, 0) <= through
        if not best or shown and not best[2]:
            best = log, min(through, first[log] - 1), shown
    return best

MAX_ROWS = 200000
FILES = "MANIFEST VERIFY.txt report.html policy.txt rows.jsonl checkpoints.txt signing_key.pub verify.py".split()

def line(text):
    """A row of a pack, if it is written as packs have it: each of its bytes is then one that was signed, or proves that."""
    row = json.loads(text)
    numbers = ("seq", "impersonation_seq", "status", "duration_us", "request_bytes", "response_bytes", "tree_size")
    again = {"table": row["table"]}
    for name in COLUMNS[row["table"]] + ["leaf_hash", "tree_size"]:
        if name != "fields" or row.get(name) is not None:
            need(type(row[name]) is (int if name in numbers else str) and (row[name] or name != "fields"), name + " is of another type")
            again[name] = row[name]
    again["proof"] = [base64.b64encode(base64.b64decode(h)).decode() for h in row["proof"]]
    need(json.dumps(again, ensure_ascii=False, separators=(",", ":")) == text, "it has what no row has, or is written in another way")
    return row

def check_pack(path, keys):
    whole = open(path, "rb").read()
    with zipfile.ZipFile(path) as z:
        need([i.filename for i in z.infolist()] == FILES, "its files are not those of a pack")
        # Before they are read: what is packed tight may be larger than the memory.
        need(not any(i.compress_type for i in z.infolist()) and sum(i.file_size for i in z.infolist()) <= len(whole), "its files are not stored as they are")
        files = [(n, z.read(n)) for n in FILES]
    if stored(files) != whole:
        found.append("zip: it is not as it was written")
    content = dict(files)
    manifest = content["MANIFEST"].decode()
    head = [l for l in manifest.split("\n")[2:3] if l.startswith("removed ")]
    listed = [l.split("  ") for l in manifest.partition("\n\n")[0].rstrip("\n").split("\n")[2 + len(head):]]
    if [[hashlib.sha256(d).hexdigest(), n] for n, d in files if n != "MANIFEST"] != listed:
        found.append("manifest: the files are not those it lists")
    notes, at, text = [], 0, content["checkpoints.txt"].decode()
    for note in iter(lambda: re.compile("caddy-impersonate/.*?\n\n\u2014 .*?\n", re.S).match(text, at), None):
        notes.append(note[0])
        at = note.end()
    if at < len(text):
        found.append("checkpoints.txt: not signed notes alone")
    for name in ("MANIFEST", "rows.jsonl", "signing_key.pub"):
        need(content[name].endswith(b"\n"), name + " is cut off")
    for key in content["signing_key.pub"].decode()[:-1].split("\n"):
        trust({}, key)
    rows = [line(l) for l in content["rows.jsonl"].decode()[:-1].split("\n")]
    places = [(r["log_id"], r["seq"]) for r in rows]
    if any(a >= b for a, b in zip(places, places[1:])):
        found.append("rows.jsonl: a row is there twice, or not in its place")
    for _ in range(len(notes) + 1):  # as often as a key may have vouched for the next
        before, sealed = len(keys), {c[:2]: c[2] for n in notes for c in [checkpoint(keys, n)] if c}
        for row in rows:
            row["leaf"] = leaf_hash(row["table"], row)
            root = sealed.get((row["log_id"], row["tree_size"]))
            proof = [base64.b64decode(h) for h in row["proof"]]
            row["proven"] = bool(root) and included(row["leaf"], row["seq"] - 1, row["tree_size"], proof) == root
            if row["proven"]:
                new_keys(keys, row)
        if len(keys) == before:
            break
    for n in notes:
        if not checkpoint(keys, n):
            found.append("checkpoint: signed by none of the keys you trust, or changed")
    for row in rows:
        check_row(row)
        if not row["proven"]:
            found.append("not proven: %(table)s, log %(log_id)s, seq %(seq)s" % row)
    format, about = manifest.split("\n")[:2]
    need(format == "caddy-impersonate-evidence/1" and about.startswith("impersonation "), "its manifest is none")
    about = about[len("impersonation "):]
    own = [r for r in rows if r["impersonation_id"] == about]
    gone = removed([r for r in rows if r["proven"]], own)
    if head != (["removed %s 1-%d" % gone[:2]] if gone else []):
        found.append("manifest: what it says of retention is not what the rows say")
    headless = gone and gone[2]
    ends = events(own, "impersonation_ended")
    starts = events(own, "impersonation_started")
    config = (starts[0]["log_id"], detail(starts[0], int, "config_seq")) if starts else ("", 0)
    configs = [(r["log_id"], r["seq"]) for r in events(rows, "config_loaded")]
    if config[1] and config not in configs and not (gone and gone[0] == config[0] and gone[1] >= config[1]):
        found.append("missing: log %s, seq %d, the configuration in force at the start" % config)
    asked = next((a for r in own if r["table"] == "events" and r["type"] in ("impersonation_started", "emergency_started")
                  for a in [detail(r, str, "request")] if a), None)
    for row in rows:
        context = row["table"] == "events" and (row["type"] in ("signing_key_changed", "retention_applied")
                                                or row["type"] == "config_loaded" and (not config[1] or config == (row["log_id"], row["seq"]))
                                                or row["impersonation_id"] == "" and asked and detail(row, str, "request") == asked)
        if row["impersonation_id"] != about and not context:
            found.append("changed: %(table)s, log %(log_id)s, seq %(seq)s is not of this impersonation" % row)
    there, said = {}, {}  # by log: each counts for itself
    for row in own:
        if row["table"] == "requests":
            there.setdefault(row["log_id"], set()).add(row["impersonation_seq"])
    for row in ends:
        said[row["log_id"]] = max(detail(row, int, "requests"), said.get(row["log_id"], 0))
    logs = sorted({r["log_id"] for r in own})
    missing = (n for log in logs for n in range(1, max(said.get(log, 0), *there.get(log, [0])) + 1) if n not in there.get(log, ()))
    for seq in itertools.islice(missing, MAX_ROWS):
        found.append("missing: request %d of the impersonation" % seq + (", maybe by retention: only the whole log can show that" if headless else ""))
    for log in logs:
        if log not in said:
            say("It has no end in log %s: it went on when this was made, or only the whole log can show what became of its end." % log)
    if gone:
        say("removed by retention: rows 1 to %d of log %s" % gone[1::-1])
    if headless:
        say("its start is one of them")
    elif not starts:
        found.append("missing: the start of the impersonation")
    if "\n\n" not in manifest:
        say("The manifest is not signed: trust rows.jsonl; report.html and the like only as far as who gave you this.")
    elif not signed(keys, manifest):
        found.append("manifest: signed by none of the keys you trust, or changed")
    say("impersonation %s: %d rows, %d checkpoints" % (about, len(rows), len(notes)))

def main(path, key_file):
    keys = {}
    for line in open(key_file, encoding="utf-8", errors="replace"):
        if line.strip()[:1] not in ("", "#"):
            trust(keys, line.strip())
    if zipfile.is_zipfile(path):
        check_pack(path, keys)
    else:
        check_export(open(path, encoding="utf-8"), keys)
    for finding in found or ["Everything is as it was recorded."]:
        say(finding)
    return 1 if found else 0

if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:3]))
    except Exception as e:  # whatever is no audit
        say("It can't be read: %s: %s" % (type(e).__name__, e))
        sys.exit(2)
