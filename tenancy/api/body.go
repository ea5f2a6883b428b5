package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// maxBody bounds the payload of a request other than a put, in bytes.
	maxBody = 64 << 10
	// bodyDepth bounds the nesting of a request body.
	bodyDepth = 64
)

// decodeVersion reads a request body: an object with an optional "version". It
// returns nil when none was asked for. what names the request for the error text,
// whose form clients know.
func decodeVersion(data []byte, what string) (*string, error) {
	var version *string
	var known bool
	err := decodeObject(data, what, func(s *scan, name string) error {
		if name != "version" {
			return s.skip()
		}
		if known {
			return scanError("duplicate field `version`")
		}
		known = true
		c, ok := s.peek()
		if ok && c == '"' {
			v, err := s.text()
			version = &v
			return err
		}
		v, err := s.value(1)
		if err == nil && v != "null" {
			return scanError(fmt.Sprintf("invalid type: %s, expected a string", v))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return version, nil
}

// decodeNothing reads a request body of which nothing is used: any object.
func decodeNothing(data []byte, what string) error {
	return decodeObject(data, what, func(s *scan, _ string) error { return s.skip() })
}

// decodeObject reads a body that is empty or an object, whose values member reads.
func decodeObject(data []byte, what string, member func(s *scan, name string) error) error {
	if len(data) == 0 {
		return nil
	}
	s := &scan{in: data, what: what}
	if err := s.request(member); err != nil {
		line, column := s.position()
		return fmt.Errorf("Error(%s, line: %d, column: %d)", quote(err.Error()), line, column)
	}
	return nil
}

// scan is a strict reader of one small JSON document that knows where it is.
type scan struct {
	in   []byte
	at   int
	what string
}

type scanError string

func (e scanError) Error() string { return string(e) }

func (s *scan) position() (line, column int) {
	line = 1
	for _, c := range s.in[:s.at] {
		if c == '\n' {
			line++
			column = 0
		} else {
			column++
		}
	}
	return line, column
}

func (s *scan) space() {
	for s.at < len(s.in) {
		switch s.in[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// peek skips blanks and shows the next byte; ok is false at the end.
func (s *scan) peek() (c byte, ok bool) {
	s.space()
	if s.at == len(s.in) {
		return 0, false
	}
	return s.in[s.at], true
}

func (s *scan) request(member func(s *scan, name string) error) error {
	c, ok := s.peek()
	if !ok {
		return scanError("EOF while parsing a value")
	}
	if c != '{' {
		v, err := s.value(0)
		if err != nil {
			return err
		}
		if v == "sequence" && strings.TrimSpace(string(s.in)) == "[]" {
			return scanError(fmt.Sprintf("invalid length 0, expected struct %s with 1 element", s.what))
		}
		return scanError(fmt.Sprintf("invalid type: %s, expected struct %s", v, s.what))
	}
	if err := s.object(0, func(name string) error { return member(s, name) }); err != nil {
		return err
	}
	if _, more := s.peek(); more {
		s.at++
		return scanError("trailing characters")
	}
	return nil
}

// skip reads the value of a field that does not matter.
func (s *scan) skip() error {
	_, err := s.value(1)
	return err
}

// object reads an object and calls member where the value of each name begins.
func (s *scan) object(depth int, member func(name string) error) error {
	s.at++
	for first := true; ; first = false {
		c, ok := s.peek()
		switch {
		case !ok:
			return scanError("EOF while parsing an object")
		case c == '}' && first:
			s.at++
			return nil
		case c == '}':
			s.at++
			return nil
		case !first && c != ',':
			s.at++
			return scanError("expected `,` or `}`")
		case !first:
			s.at++
			c, ok = s.peek()
			if !ok {
				return scanError("EOF while parsing a value")
			}
			if c == '}' {
				s.at++
				return scanError("trailing comma")
			}
		}
		if c != '"' {
			s.at++
			return scanError("key must be a string")
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		if c, ok = s.peek(); !ok {
			return scanError("EOF while parsing an object")
		} else if c != ':' {
			s.at++
			return scanError("expected `:`")
		}
		s.at++
		if err := member(name); err != nil {
			return err
		}
	}
}

// value reads any value and names it the way error texts do.
func (s *scan) value(depth int) (string, error) {
	c, ok := s.peek()
	if !ok {
		return "", scanError("EOF while parsing a value")
	}
	if depth > bodyDepth {
		return "", scanError("recursion limit exceeded")
	}
	switch {
	case c == '{':
		return "map", s.object(depth, func(string) error {
			_, err := s.value(depth + 1)
			return err
		})
	case c == '[':
		return "sequence", s.list(depth)
	case c == '"':
		v, err := s.text()
		return "string " + quote(v), err
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, word := range []string{"null", "true", "false"} {
		if bytes.HasPrefix(s.in[s.at:], []byte(word)) {
			s.at += len(word)
			if word == "null" {
				return word, nil
			}
			return "boolean `" + word + "`", nil
		}
	}
	s.at++
	return "", scanError("expected value")
}

func (s *scan) list(depth int) error {
	s.at++
	for first := true; ; first = false {
		c, ok := s.peek()
		switch {
		case !ok:
			return scanError("EOF while parsing a list")
		case c == ']':
			s.at++
			return nil
		case !first && c != ',':
			s.at++
			return scanError("expected `,` or `]`")
		case !first:
			s.at++
			if c, ok := s.peek(); ok && c == ']' {
				s.at++
				return scanError("trailing comma")
			}
		}
		if _, err := s.value(depth + 1); err != nil {
			return err
		}
	}
}

func (s *scan) number() (string, error) {
	start := s.at
	for s.at < len(s.in) && strings.IndexByte("+-.0123456789eE", s.in[s.at]) >= 0 {
		s.at++
	}
	text := string(s.in[start:s.at])
	if !json.Valid([]byte(text)) {
		return "", scanError("invalid number")
	}
	if strings.ContainsAny(text, ".eE") {
		return "floating point `" + text + "`", nil
	}
	return "integer `" + text + "`", nil
}

// text reads a string.
func (s *scan) text() (string, error) {
	start := s.at
	s.at++
	for s.at < len(s.in) {
		switch c := s.in[s.at]; {
		case c == '"':
			s.at++
			raw := s.in[start:s.at]
			if !utf8.Valid(raw) {
				return "", scanError("invalid unicode code point")
			}
			var v string
			if err := json.Unmarshal(raw, &v); err != nil {
				return "", scanError("invalid escape")
			}
			return v, nil
		case c == '\\' && s.at+1 < len(s.in):
			s.at += 2
		case c < 0x20:
			s.at++
			return "", scanError("control character (\\u0000-\\u001F) found while parsing a string")
		default:
			s.at++
		}
	}
	return "", scanError("EOF while parsing a string")
}

// quote writes s in the debug form that error texts use.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// quoteList writes a list of names in the same form.
func quoteList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
