# Flattens the part of YAML (and JSON) that cloud-init documents use into lines "/path/0/key=value".
# In values newline is \n and backslash is \\, so that one line is one value; `printf %b` undoes it.
# Known: block mappings and sequences, literal and folded scalars, quotes, flow [] and {}, comments.
# Not known: anchors, tags, several documents, plain scalars over several lines.
{ sub(/\r$/, ""); line[++count] = $0 }
END {
  at = 1
  skip_blank()
  if (at > count) exit
  node(indent_of(line[at]), "")
}
function indent_of(s) { match(s, /^ */); return RLENGTH }
function blank(s) { return s ~ /^[ \t]*(#.*)?$/ || s ~ /^(---|\.\.\.)/ }
function skip_blank() { while (at <= count && blank(line[at])) at++ }
function emit(path, value) {
  gsub(/\\/, "\\\\", value)
  gsub(/\n/, "\\n", value)
  print path "=" value
}
function node(ind, path,    s) {
  s = substr(line[at], ind + 1)
  if (s ~ /^-( |$)/) sequence(ind, path)
  else if (s ~ /^[\[{]/) { value_of(s, ind, path) }
  else if (key_length(s)) mapping(ind, path)
  else { value_of(s, ind, path) }
}
function sequence(ind, path,    n, s, pad) {
  n = 0
  for (skip_blank(); at <= count && indent_of(line[at]) == ind; skip_blank()) {
    s = substr(line[at], ind + 1)
    if (s !~ /^-( |$)/) break
    s = substr(s, 2)
    pad = ind + 1 + indent_of(s)
    s = substr(line[at], pad + 1)
    if (s == "" || s ~ /^#/) {
      at++
      skip_blank()
      if (at <= count && indent_of(line[at]) > ind) node(indent_of(line[at]), path "/" n)
    } else if (s ~ /^-( |$)/ || (s !~ /^["'\[{]/ && key_length(s)) || (s ~ /^["']/ && key_length(s))) {
      # "- key: value": the rest of the line is a node of its own, further in.
      line[at] = sprintf("%" pad "s", "") s
      node(pad, path "/" n)
    } else value_of(s, ind, path "/" n)
    n++
  }
}
# Length of "key:" at the beginning of s, 0 when there is none.
function key_length(s) {
  if (match(s, /^"[^"]*"[ ]*:( |$)/) || match(s, /^'[^']*'[ ]*:( |$)/)) return RLENGTH
  if (s ~ /^["'\[{]/) return 0
  if (match(s, /^[^:#]([^:]|:[^ ])*:( |$)/)) return RLENGTH
  return 0
}
function mapping(ind, path,    s, len, key, rest) {
  for (skip_blank(); at <= count && indent_of(line[at]) == ind; skip_blank()) {
    s = substr(line[at], ind + 1)
    len = key_length(s)
    if (!len || s ~ /^- /) break
    key = substr(s, 1, len)
    sub(/[ ]*:[ ]?$/, "", key)
    key = unquote(key)
    rest = substr(s, len + 1)
    sub(/^[ ]+/, "", rest)
    if (rest == "" || rest ~ /^#/) {
      at++
      skip_blank()
      if (at <= count && indent_of(line[at]) > ind) node(indent_of(line[at]), path "/" key)
      else if (at <= count && indent_of(line[at]) == ind && substr(line[at], ind + 1) ~ /^-( |$)/) sequence(ind, path "/" key)
      else emit(path "/" key, "")
    } else value_of(rest, ind, path "/" key)
  }
}
# A value that begins on the current line, after a key or a dash; moves past it.
function value_of(s, ind, path,    text) {
  if (s ~ /^[|>][-+0-9]*[ ]*(#.*)?$/) { at++; emit(path, block(s, ind)); return }
  if (s ~ /^[\[{]/) {
    text = s
    at++
    while (!balanced(text) && at <= count) text = text "\n" line[at++]
    flow = text; pos = 1
    flow_value(path)
    return
  }
  at++
  emit(path, scalar(s))
}
function block(head, ind,    text, own, s, gap) {
  text = ""; own = -1
  for (; at <= count; at++) {
    s = line[at]
    if (s ~ /^[ \t]*$/) { gap = gap "\n"; continue }
    if (indent_of(s) <= ind) break
    if (own < 0) own = indent_of(s)
    s = substr(s, (indent_of(s) < own ? indent_of(s) : own) + 1)
    if (text == "") text = gap s
    else if (head ~ /^>/) text = text (gap == "" ? " " : gap) s
    else text = text gap "\n" s
    gap = ""
  }
  return head ~ /^.-/ ? text : text "\n"
}
function scalar(s) {
  if (s ~ /^"/ || s ~ /^'/) return unquote(s)
  sub(/[ \t]+#.*$/, "", s)
  sub(/[ \t]+$/, "", s)
  return (s == "~" || s == "null") ? "" : s
}
function unquote(s,    q, i, c, out) {
  q = substr(s, 1, 1)
  if (q != "\"" && q != "'") return s
  out = ""
  for (i = 2; i <= length(s); i++) {
    c = substr(s, i, 1)
    if (q == "'" && c == q && substr(s, i + 1, 1) == q) { out = out q; i++; continue }
    if (c == q) break
    if (q == "\"" && c == "\\") {
      c = substr(s, ++i, 1)
      c = c == "n" ? "\n" : c == "t" ? "\t" : c == "r" ? "\r" : c
    }
    out = out c
  }
  return out
}
# Whether all brackets of a flow text are closed, not counting those inside quotes.
function balanced(s,    i, c, q, depth) {
  for (i = 1; i <= length(s); i++) {
    c = substr(s, i, 1)
    if (q != "") { if (c == "\\" && q == "\"") i++; else if (c == q) q = ""; continue }
    if (c == "\"" || c == "'") q = c
    else if (index("[{", c)) depth++
    else if (index("]}", c)) depth--
  }
  return depth <= 0
}
function flow_space() { while (substr(flow, pos, 1) ~ /[ \t\n]/) pos++ }
function flow_text(stop,    q, start, c) {
  flow_space()
  start = pos
  q = substr(flow, pos, 1)
  if (q == "\"" || q == "'") {
    for (pos++; pos <= length(flow); pos++) {
      c = substr(flow, pos, 1)
      if (c == "\\" && q == "\"") pos++
      else if (c == q) break
    }
    pos++
    return unquote(substr(flow, start, pos - start))
  }
  while (pos <= length(flow) && index(stop, substr(flow, pos, 1)) == 0) pos++
  c = substr(flow, start, pos - start)
  sub(/[ \t\n]+$/, "", c)
  return c == "null" ? "" : c
}
function flow_value(path,    c, n, key) {
  flow_space()
  c = substr(flow, pos, 1)
  if (c == "[") {
    pos++
    n = 0
    for (flow_space(); pos <= length(flow) && substr(flow, pos, 1) != "]"; flow_space()) {
      flow_value(path "/" n++)
      flow_space()
      if (substr(flow, pos, 1) == ",") pos++
    }
    pos++
  } else if (c == "{") {
    pos++
    for (flow_space(); pos <= length(flow) && substr(flow, pos, 1) != "}"; flow_space()) {
      key = flow_text(":")
      flow_space()
      if (substr(flow, pos, 1) == ":") pos++
      flow_value(path "/" key)
      flow_space()
      if (substr(flow, pos, 1) == ",") pos++
    }
    pos++
  } else emit(path, flow_text(",]}"))
}
