package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const manyDocuments = "deserializing from YAML containing more than one document is not supported"

// readYAML turns a YAML text of at most one document into nodes. Aliases share
// the node they stand for. Everything is counted before anything is decoded.
func readYAML(src []byte, b Budget) (*node, *fault) {
	if f := b.checkBytes(len(src)); f != nil {
		return nil, f
	}
	if !utf8.Valid(src) {
		return nil, &fault{text: "invalid leading UTF-8 octet"}
	}
	if bytes.HasPrefix(src, []byte("\uFEFF")) {
		return nil, &fault{text: "found a byte order mark", line: 1, column: 1}
	}
	if separators(src) > 3*b.Nodes {
		return nil, over("manifest has more than %d separators", 3*b.Nodes)
	}
	d := yaml.NewDecoder(bytes.NewReader(oldDirective(src)))
	root, f := nextDocument(d)
	if f != nil {
		return nil, f
	}
	if root == nil {
		return &node{kind: plain, line: 1, column: 1}, nil
	}
	r := &yamlReader{budget: b, anchors: map[*yaml.Node]*measured{}}
	m, f := r.node(root.Content[0], 1)
	if f != nil {
		return nil, f
	}
	if second, f := nextDocument(d); second != nil || f != nil {
		return nil, &fault{text: manyDocuments}
	}
	return m.node, nil
}

// separators counts the bytes of which every YAML value but a nested one needs
// its own. The library builds the whole tree before the values can be counted,
// at some 200 bytes each, so a body made of nothing else is refused unread. Text
// contains them too, hence a limit well above that of values.
func separators(src []byte) int {
	n := 0
	for _, c := range src {
		if c == ',' || c == '\n' || c == '[' || c == '{' {
			n++
		}
	}
	return n
}

// oldDirective gives src with a version directive the library knows: it reads
// YAML 1.2 as well as 1.1, but refuses to be told so.
func oldDirective(src []byte) []byte {
	for rest := src; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		switch trimmed := bytes.TrimSpace(line); {
		case len(trimmed) == 0 || trimmed[0] == '#':
			rest = after
		case bytes.HasPrefix(line, []byte("%YAML")) && bytes.Equal(bytes.TrimSpace(line[5:]), []byte("1.2")):
			out := bytes.Clone(src)
			out[len(src)-len(rest)+bytes.LastIndexByte(line, '2')] = '1'
			return out
		default:
			return src
		}
	}
	return src
}

// nextDocument gives the next document, or nil at the end.
func nextDocument(d *yaml.Decoder) (n *yaml.Node, f *fault) {
	// The library reports its own faults as errors; what it did not foresee must
	// not take the server down with it.
	defer func() {
		if p := recover(); p != nil {
			n, f = nil, &fault{text: clip(fmt.Sprintf("the document cannot be scanned: %v", p))}
		}
	}()
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, scanFault(err)
	}
	if len(doc.Content) != 1 {
		return nil, nil
	}
	return &doc, nil
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

func scanFault(err error) *fault {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	m := yamlLine.FindStringSubmatch(s)
	if m == nil {
		return &fault{text: clip(s)}
	}
	line, err := strconv.Atoi(m[1])
	if err != nil {
		return &fault{text: clip(s)}
	}
	return &fault{text: clip(s[len(m[0]):]), line: line, lineOnly: true}
}

type yamlReader struct {
	budget  Budget
	nodes   int
	aliases int
	anchors map[*yaml.Node]*measured
}

// measured is a node with what it weighs once aliases are expanded. An anchor
// whose node is still nil is being read: an alias to it is inside itself.
type measured struct {
	node                 *node
	nodes, bytes, height int
}

func (r *yamlReader) node(y *yaml.Node, depth int) (*measured, *fault) {
	if y.Kind == yaml.AliasNode {
		r.aliases++
		if r.aliases > r.budget.Aliases {
			return nil, over("manifest has more than %d aliases", r.budget.Aliases)
		}
		m := r.anchors[y.Alias]
		if m == nil || m.node == nil {
			return nil, &fault{text: fmt.Sprintf("anchor `%s` contains itself", clip(y.Value)), line: y.Line, column: y.Column}
		}
		return m, nil
	}
	r.nodes++
	if f := r.budget.checkNodes(r.nodes); f != nil {
		return nil, f
	}
	if f := r.budget.checkDepth(depth); f != nil {
		return nil, f
	}
	m := &measured{nodes: 1, height: 1}
	if y.Anchor != "" {
		r.anchors[y] = m
	}
	n := &node{line: y.Line, column: y.Column}
	if y.Style&yaml.TaggedStyle != 0 {
		n.tag = y.ShortTag()
	}
	switch y.Kind {
	case yaml.ScalarNode:
		n.kind, n.str = plain, y.Value
		if y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			n.kind = text
		}
		if f := r.budget.checkScalar(len(n.str)); f != nil {
			return nil, f
		}
		m.bytes = len(n.str)
	case yaml.SequenceNode:
		n.kind = sequence
	case yaml.MappingNode:
		n.kind = mapping
		if f := r.budget.checkKeys(len(y.Content) / 2); f != nil {
			return nil, f
		}
	default:
		return nil, &fault{text: "found an unexpected kind of value", line: y.Line, column: y.Column}
	}
	if len(y.Content) > 0 {
		n.list = make([]*node, len(y.Content))
	}
	for i, c := range y.Content {
		e, f := r.node(c, depth+1)
		if f != nil {
			return nil, f
		}
		n.list[i] = e.node
		m.nodes += e.nodes
		m.bytes += e.bytes
		m.height = max(m.height, e.height+1)
		if m.nodes > r.budget.Expanded {
			return nil, over("manifest has more than %d values once its aliases are expanded", r.budget.Expanded)
		}
		if m.bytes > r.budget.Bytes {
			return nil, over("manifest has more than %d bytes once its aliases are expanded", r.budget.Bytes)
		}
	}
	if f := r.budget.checkDepth(m.height); f != nil {
		return nil, f
	}
	m.node = n
	return m, nil
}

// resolved gives n with every plain scalar turned into the type it looks like.
// This is how YAML inside properties is read: there `8080` is a number, while
// elsewhere it is the text "8080".
func (n *node) resolved() (*node, *fault) {
	if strings.HasPrefix(n.tag, "!") && !strings.HasPrefix(n.tag, "!!") && n.tag != "!" {
		return nil, n.fault("untagged and internally tagged enums do not support enum input")
	}
	switch n.kind {
	case sequence, mapping:
		c := *n
		c.list = make([]*node, len(n.list))
		for i, e := range n.list {
			v, f := e.resolved()
			if f != nil {
				switch {
				case n.kind == sequence:
					f = f.within("[" + strconv.Itoa(i) + "]")
				case i%2 == 1 && n.list[i-1].isString():
					f = f.within(clip(n.list[i-1].str))
				}
				return nil, f
			}
			c.list[i] = v
		}
		return &c, nil
	case plain, text:
		return n.resolvedScalar()
	default:
		return n, nil
	}
}

func (n *node) fault(what string) *fault {
	return &fault{text: what, line: n.line, column: n.column, yaml: true}
}

func (n *node) resolvedScalar() (*node, *fault) {
	c := *n
	c.kind = text
	wrong := func(want string) (*node, *fault) {
		return nil, n.fault("invalid value: string " + quote(clip(n.str)) + ", expected " + want)
	}
	switch n.tag {
	case "":
		if n.kind == text {
			return n, nil
		}
	case "!!null":
		if !isNullWord(n.str) {
			return wrong("null")
		}
		c.kind = null
		return &c, nil
	case "!!bool":
		yes, ok := boolWord(n.str)
		if !ok {
			return wrong("a boolean")
		}
		c.kind, c.yes = boolean, yes
		return &c, nil
	case "!!int":
		v, ok, wide := integerWord(n.str)
		if wide {
			return nil, n.tooBig()
		}
		if !ok {
			return wrong("an integer")
		}
		c.kind, c.num = integer, v
		return &c, nil
	case "!!float":
		v, ok := floatWord(n.str)
		if !ok {
			return wrong("a float")
		}
		c.kind, c.num = float, number{float: v}
		return &c, nil
	default:
		return &c, nil
	}
	if n.str == "" || isNullWord(n.str) {
		c.kind = null
		return &c, nil
	}
	if yes, ok := boolWord(n.str); ok {
		c.kind, c.yes = boolean, yes
		return &c, nil
	}
	if v, ok, wide := integerWord(n.str); wide {
		return nil, n.tooBig()
	} else if ok {
		c.kind, c.num = integer, v
		return &c, nil
	}
	if !zeroPadded(n.str) {
		if v, ok := floatWord(n.str); ok {
			c.kind, c.num = float, number{float: v}
			return &c, nil
		}
	}
	return &c, nil
}

func (n *node) tooBig() *fault {
	width := "u128"
	if strings.HasPrefix(n.str, "-") {
		width = "i128"
	}
	return n.fault("invalid type: integer `" + clip(n.str) + "` as " + width + ", expected any value")
}

func isNullWord(s string) bool { return s == "null" || s == "Null" || s == "NULL" || s == "~" }

func boolWord(s string) (yes, ok bool) {
	switch s {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// zeroPadded tells texts like 007 and -00, which are strings, not numbers.
func zeroPadded(s string) bool {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	return len(s) > 1 && s[0] == '0' && strings.Trim(s, "0123456789") == ""
}

// integerWord reads the integers of YAML 1.2: decimal, 0x, 0o and 0b with an
// optional sign. wide says that it is an integer of more than 64 bits.
func integerWord(s string) (v number, ok, wide bool) {
	digits, negative := strings.CutPrefix(s, "-")
	if !negative {
		digits = strings.TrimPrefix(s, "+")
	}
	base := 10
	if rest, found := strings.CutPrefix(digits, "0x"); found {
		digits, base = rest, 16
	} else if rest, found := strings.CutPrefix(digits, "0o"); found {
		digits, base = rest, 8
	} else if rest, found := strings.CutPrefix(digits, "0b"); found {
		digits, base = rest, 2
	}
	if digits == "" || digits[0] == '+' || digits[0] == '-' || strings.Contains(digits, "_") {
		return number{}, false, false
	}
	if base == 10 && zeroPadded(s) {
		return number{}, false, false
	}
	u, err := strconv.ParseUint(digits, base, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		// What exceeds even 128 bits is no integer any more.
		huge, valid := new(big.Int).SetString(digits, base)
		return number{}, false, valid && huge.BitLen() <= 128
	case err != nil:
		return number{}, false, false
	case negative && u > 1<<63:
		return number{}, false, true
	}
	return number{negative: negative && u != 0, integer: u}, true, false
}

// floatWord reads decimal floats, which need no digit before or after the
// point, and the three special values.
func floatWord(s string) (float64, bool) {
	unsigned, signed := strings.CutPrefix(s, "+")
	if signed && strings.HasPrefix(unsigned, "-") {
		return 0, false
	}
	switch unsigned {
	case ".inf", ".Inf", ".INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
		v, err := strconv.ParseFloat(strings.Replace(unsigned, ".", "", 1), 64)
		return v, err == nil
	}
	// strconv knows more spellings than YAML: hexadecimal, underscores, words.
	if strings.HasPrefix(unsigned, "+") || strings.Trim(unsigned, "0123456789.eE+-") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(unsigned, 64)
	return v, err == nil
}
