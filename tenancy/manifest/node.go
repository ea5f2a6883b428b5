package manifest

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// kind is what a node is.
type kind uint8

const (
	// null is the zero kind.
	null kind = iota
	boolean
	integer
	float
	text
	// plain is an unquoted YAML scalar that nobody has interpreted yet: in most
	// places its source text counts, in others the type it looks like.
	plain
	sequence
	mapping
)

// node is one value of either format, with its place in the source. Nodes are
// never changed once built: aliases make several parents share one.
type node struct {
	kind kind
	// tag is an explicit YAML tag in short form.
	tag string
	str string // text and plain
	num number
	yes bool
	// list holds the elements of a sequence; keys and values in turn of a mapping.
	list []*node
	// line and column are set by YAML, start and end (byte offsets) by JSON.
	line, column int
	start, end   int
}

// number is an integer of 64 bits, signed or not, or a float.
type number struct {
	negative bool
	integer  uint64 // the magnitude
	float    float64
}

// isString tells whether n can stand where a string is wanted.
func (n *node) isString() bool { return n.kind == text || n.kind == plain }

// isBlank tells whether n is a YAML value that was left out after its colon.
// Lists, maps and structures read it as empty.
func (n *node) isBlank() bool { return n.kind == plain && n.str == "" && n.tag == "" }

// get gives the last value under key of a mapping whose keys are strings.
func (n *node) get(key string) *node {
	for i := len(n.list) - 2; i >= 0; i -= 2 {
		if n.list[i].str == key {
			return n.list[i+1]
		}
	}
	return nil
}

// canonical gives n with all keys sorted and unique, the last of equal keys
// winning, and without the floats that JSON cannot write. It fails when a key
// is no string. n must hold no plain scalars.
func (n *node) canonical() (*node, bool) {
	switch n.kind {
	case float:
		if math.IsNaN(n.num.float) || math.IsInf(n.num.float, 0) {
			return &node{kind: null}, true
		}
		return n, true
	case sequence:
		c := *n
		c.list = make([]*node, len(n.list))
		for i, e := range n.list {
			v, ok := e.canonical()
			if !ok {
				return nil, false
			}
			c.list[i] = v
		}
		return &c, true
	case mapping:
		type pair struct{ k, v *node }
		pairs := make([]pair, 0, len(n.list)/2)
		for i := 0; i < len(n.list); i += 2 {
			if n.list[i].kind != text {
				return nil, false
			}
			v, ok := n.list[i+1].canonical()
			if !ok {
				return nil, false
			}
			pairs = append(pairs, pair{n.list[i], v})
		}
		slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.k.str, b.k.str) })
		c := *n
		c.list = make([]*node, 0, len(n.list))
		for i, p := range pairs {
			if i+1 < len(pairs) && pairs[i+1].k.str == p.k.str {
				continue
			}
			c.list = append(c.list, p.k, p.v)
		}
		return &c, true
	default:
		return n, true
	}
}

// appendTo writes n as compact JSON. n must hold no plain scalars.
func (n *node) appendTo(b []byte) []byte {
	switch n.kind {
	case boolean:
		return strconv.AppendBool(b, n.yes)
	case integer:
		return n.num.appendInteger(b)
	case float:
		return appendFloat(b, n.num.float)
	case text, plain:
		return appendString(b, n.str)
	case sequence:
		b = append(b, '[')
		for i, e := range n.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = e.appendTo(b)
		}
		return append(b, ']')
	case mapping:
		b = append(b, '{')
		for i := 0; i < len(n.list); i += 2 {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, n.list[i].str)
			b = append(b, ':')
			b = n.list[i+1].appendTo(b)
		}
		return append(b, '}')
	default:
		return append(b, "null"...)
	}
}

func (v number) appendInteger(b []byte) []byte {
	if v.negative && v.integer != 0 {
		b = append(b, '-')
	}
	return strconv.AppendUint(b, v.integer, 10)
}

// appendFloat writes f so that it reads back as the same float and never as an
// integer: 1.0, 0.001, 1e20, 1.5e-7.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if f == 0 {
		if math.Signbit(f) {
			b = append(b, '-')
		}
		return append(b, "0.0"...)
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(s, "e")
	e, err := strconv.Atoi(exponent)
	if err != nil {
		return strconv.AppendFloat(b, f, 'g', -1, 64)
	}
	if e >= -5 && e < 16 {
		n := len(b)
		b = strconv.AppendFloat(b, f, 'f', -1, 64)
		if !slices.Contains(b[n:], '.') {
			b = append(b, ".0"...)
		}
		return b
	}
	b = append(b, mantissa...)
	b = append(b, 'e')
	return strconv.AppendInt(b, int64(e), 10)
}

// appendString writes s as a JSON string with nothing escaped that need not be.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	s = strings.ToValidUTF8(s, "\uFFFD")
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
