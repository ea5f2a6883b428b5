package manifest

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readJSON turns a whole JSON text into nodes. It is strict: one value, valid
// UTF-8, nothing after it. Repeated keys are kept, because whether they are an
// error depends on what they are keys of.
func readJSON(src []byte, b Budget) (*node, *fault) {
	if f := b.checkBytes(len(src)); f != nil {
		return nil, f
	}
	r := &jsonReader{src: src, budget: b}
	n, f := r.value(1)
	if f != nil {
		return nil, f
	}
	r.space()
	if r.at < len(src) {
		return nil, r.ahead("trailing characters")
	}
	return n, nil
}

type jsonReader struct {
	src    []byte
	at     int
	nodes  int
	budget Budget
}

// here reports a fault in what has been read, ahead one in the next byte.
func (r *jsonReader) here(what string) *fault  { return placed(r.at, what) }
func (r *jsonReader) ahead(what string) *fault { return placed(r.at+1, what) }

func (r *jsonReader) space() {
	for r.at < len(r.src) {
		switch r.src[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

func (r *jsonReader) count() *fault {
	r.nodes++
	return r.budget.checkNodes(r.nodes)
}

func (r *jsonReader) value(depth int) (*node, *fault) {
	if f := r.count(); f != nil {
		return nil, f
	}
	if f := r.budget.checkDepth(depth); f != nil {
		return nil, f
	}
	r.space()
	if r.at == len(r.src) {
		return nil, r.ahead("EOF while parsing a value")
	}
	n := &node{start: r.at}
	var f *fault
	switch c := r.src[r.at]; {
	case c == '{':
		f = r.object(n, depth)
	case c == '[':
		f = r.array(n, depth)
	case c == '"':
		n.kind = text
		n.str, f = r.string()
	case c == '-' || isDigit(c):
		f = r.number(n)
	case c == 't':
		n.kind, n.yes = boolean, true
		f = r.word("true")
	case c == 'f':
		n.kind = boolean
		f = r.word("false")
	case c == 'n':
		f = r.word("null")
	default:
		f = r.ahead("expected value")
	}
	if f != nil {
		return nil, f
	}
	n.end = r.at
	return n, nil
}

func (r *jsonReader) word(w string) *fault {
	for i := range len(w) {
		if r.at == len(r.src) {
			return r.ahead("EOF while parsing a value")
		}
		if r.src[r.at] != w[i] {
			r.at++
			return r.here("expected ident")
		}
		r.at++
	}
	return nil
}

func (r *jsonReader) object(n *node, depth int) *fault {
	n.kind = mapping
	r.at++
	for first := true; ; first = false {
		r.space()
		if r.at == len(r.src) {
			return r.ahead("EOF while parsing an object")
		}
		switch c := r.src[r.at]; {
		case c == '}':
			r.at++
			return nil
		case first:
		case c == ',':
			r.at++
			r.space()
			if r.at == len(r.src) {
				return r.ahead("EOF while parsing a value")
			}
			if r.src[r.at] == '}' {
				return r.ahead("trailing comma")
			}
		default:
			return r.ahead("expected `,` or `}`")
		}
		if r.src[r.at] != '"' {
			return r.ahead("key must be a string")
		}
		if f := r.count(); f != nil {
			return f
		}
		if f := r.budget.checkKeys(len(n.list)/2 + 1); f != nil {
			return f
		}
		k := &node{kind: text, start: r.at}
		var f *fault
		if k.str, f = r.string(); f != nil {
			return f
		}
		k.end = r.at
		r.space()
		if r.at == len(r.src) {
			return r.ahead("EOF while parsing an object")
		}
		if r.src[r.at] != ':' {
			return r.ahead("expected `:`")
		}
		r.at++
		v, f := r.value(depth + 1)
		if f != nil {
			return f
		}
		n.list = append(n.list, k, v)
	}
}

func (r *jsonReader) array(n *node, depth int) *fault {
	n.kind = sequence
	r.at++
	for first := true; ; first = false {
		r.space()
		if r.at == len(r.src) {
			return r.ahead("EOF while parsing a list")
		}
		switch c := r.src[r.at]; {
		case c == ']':
			r.at++
			return nil
		case first:
		case c == ',':
			r.at++
			r.space()
			if r.at < len(r.src) && r.src[r.at] == ']' {
				return r.ahead("trailing comma")
			}
		default:
			return r.ahead("expected `,` or `]`")
		}
		v, f := r.value(depth + 1)
		if f != nil {
			return f
		}
		n.list = append(n.list, v)
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digits skips digits and tells how many there were.
func (r *jsonReader) digits() int {
	from := r.at
	for r.at < len(r.src) && isDigit(r.src[r.at]) {
		r.at++
	}
	return r.at - from
}

func (r *jsonReader) badNumber() *fault {
	if r.at == len(r.src) {
		return r.ahead("EOF while parsing a value")
	}
	r.at++
	return r.here("invalid number")
}

func (r *jsonReader) number(n *node) *fault {
	from := r.at
	negative := r.src[r.at] == '-'
	if negative {
		r.at++
	}
	first := r.at
	if r.digits() == 0 {
		return r.badNumber()
	}
	if r.src[first] == '0' && r.at > first+1 {
		r.at = first + 1
		return r.ahead("invalid number")
	}
	whole := string(r.src[first:r.at])
	fraction := false
	if r.at < len(r.src) && r.src[r.at] == '.' {
		fraction = true
		r.at++
		if r.digits() == 0 {
			return r.badNumber()
		}
	}
	if r.at < len(r.src) && (r.src[r.at] == 'e' || r.src[r.at] == 'E') {
		fraction = true
		r.at++
		if r.at < len(r.src) && (r.src[r.at] == '+' || r.src[r.at] == '-') {
			r.at++
		}
		if r.digits() == 0 {
			return r.badNumber()
		}
	}
	if f := r.budget.checkScalar(r.at - from); f != nil {
		return f
	}
	if !fraction {
		v, err := strconv.ParseUint(whole, 10, 64)
		// A negative zero and what exceeds 64 bits are floats.
		if err == nil && (!negative || (v != 0 && v <= 1<<63)) {
			n.kind, n.num = integer, number{negative: negative, integer: v}
			return nil
		}
	}
	v, err := strconv.ParseFloat(string(r.src[from:r.at]), 64)
	if err != nil || math.IsInf(v, 0) {
		return r.here("number out of range")
	}
	n.kind, n.num = float, number{float: v}
	return nil
}

func (r *jsonReader) string() (string, *fault) {
	r.at++
	var b strings.Builder
	from := r.at
	for {
		if r.at == len(r.src) {
			return "", r.ahead("EOF while parsing a string")
		}
		switch c := r.src[r.at]; {
		case c == '"':
			b.Write(r.src[from:r.at])
			r.at++
			s := b.String()
			if !utf8.ValidString(s) {
				return "", r.here("invalid unicode code point")
			}
			if f := r.budget.checkScalar(len(s)); f != nil {
				return "", f
			}
			return s, nil
		case c == '\\':
			b.Write(r.src[from:r.at])
			r.at++
			if f := r.escape(&b); f != nil {
				return "", f
			}
			from = r.at
		case c < 0x20:
			r.at++
			return "", r.here("control character (\\u0000-\\u001F) found while parsing a string")
		default:
			r.at++
		}
	}
}

func (r *jsonReader) escape(b *strings.Builder) *fault {
	if r.at == len(r.src) {
		return r.ahead("EOF while parsing a string")
	}
	c := r.src[r.at]
	r.at++
	switch c {
	case '"', '\\', '/':
		b.WriteByte(c)
	case 'b':
		b.WriteByte('\b')
	case 'f':
		b.WriteByte('\f')
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case 't':
		b.WriteByte('\t')
	case 'u':
		v, f := r.hex()
		if f != nil {
			return f
		}
		if v >= 0xDC00 && v < 0xE000 {
			return r.here("lone leading surrogate in hex escape")
		}
		if v >= 0xD800 && v < 0xDC00 {
			if r.at+1 >= len(r.src) || r.src[r.at] != '\\' || r.src[r.at+1] != 'u' {
				return r.ahead("unexpected end of hex escape")
			}
			r.at += 2
			low, f := r.hex()
			if f != nil {
				return f
			}
			if low < 0xDC00 || low >= 0xE000 {
				return r.here("lone leading surrogate in hex escape")
			}
			v = 0x10000 + (v-0xD800)<<10 + (low - 0xDC00)
		}
		b.WriteRune(v)
	default:
		return r.here("invalid escape")
	}
	return nil
}

func (r *jsonReader) hex() (rune, *fault) {
	if r.at+4 > len(r.src) {
		r.at = len(r.src)
		return 0, r.here("EOF while parsing a string")
	}
	v, err := strconv.ParseUint(string(r.src[r.at:r.at+4]), 16, 32)
	r.at += 4
	if err != nil {
		return 0, r.here("invalid escape")
	}
	return rune(v), nil
}
