package manifest

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fault is one reason why a manifest cannot be read. The path grows outwards
// while the fault travels up; it is known for YAML only.
type fault struct {
	path string
	text string
	// line and column count from 1; line 0 means the place is not known, and
	// column 0 with a line that only the line is (except in JSON, where an
	// empty line has column 0).
	line, column int
	lineOnly     bool
	// yaml leaves out the place when it is the very start of the text.
	yaml bool
	// offset is the place of a JSON fault until locate turns it into a line and
	// a column: most faults of a decode only say which variant does not fit, and
	// finding lines for those would take time in the square of the body.
	offset  int
	unfound bool
	budget  bool
}

// locate finds line and column of a JSON fault: lines from 1, columns in bytes.
func (f *fault) locate(src []byte) *fault {
	if f == nil || !f.unfound {
		return f
	}
	f.unfound, f.line, f.column = false, 1, 0
	for _, c := range src[:min(f.offset, len(src))] {
		if c == '\n' {
			f.line++
			f.column = 0
		} else {
			f.column++
		}
	}
	return f
}

// placed is a fault that ends before offset.
func placed(offset int, what string) *fault {
	return &fault{text: what, offset: offset, unfound: true}
}

// within puts one more step in front of the path of f, if there is a fault.
func (f *fault) within(step string) *fault {
	if f == nil {
		return nil
	}
	switch {
	case f.path == "":
		f.path = step
	case f.path[0] == '[':
		f.path = step + f.path
	default:
		f.path = step + "." + f.path
	}
	return f
}

func (f *fault) message() string {
	if f.path == "" {
		return f.text
	}
	return f.path + ": " + f.text
}

// Error is what follows "Unable to parse manifest: ".
func (f *fault) Error() string {
	switch {
	case f.line == 0, f.yaml && f.line == 1 && f.column == 1:
		return f.message()
	case f.lineOnly:
		return fmt.Sprintf("%s at line %d", f.message(), f.line)
	default:
		return fmt.Sprintf("%s at line %d column %d", f.message(), f.line, f.column)
	}
}

// Unwrap makes budget faults recognisable.
func (f *fault) Unwrap() error {
	if f.budget {
		return ErrBudget
	}
	return nil
}

// debug is the form in which clients see a fault inside a combined one.
func (f *fault) debug() string {
	switch {
	case f.line == 0:
		return "Error(" + quote(f.message()) + ")"
	case f.lineOnly:
		return fmt.Sprintf("Error(%s, line: %d)", quote(f.message()), f.line)
	default:
		return fmt.Sprintf("Error(%s, line: %d, column: %d)", quote(f.message()), f.line, f.column)
	}
}

// neither is the fault of a body without content type that is neither YAML nor JSON.
type neither struct{ yaml, json *fault }

func (n neither) Error() string {
	return "YAML parsing failed: " + n.yaml.debug() + "\n\nCaused by:\n    JSON parsing failed: " + n.json.debug()
}

// quote writes s the way Rust's debug format does, which is how clients have
// always seen names inside messages.
func quote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case 0:
			b.WriteString(`\0`)
		default:
			if !unicode.IsPrint(r) || unicode.In(r, unicode.Mn, unicode.Me, unicode.Other_Grapheme_Extend) {
				b.WriteString(`\u{`)
				b.WriteString(strconv.FormatInt(int64(r), 16))
				b.WriteByte('}')
			} else {
				b.WriteRune(r)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}

// quoteList writes a list of names in the same format.
func quoteList(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = quote(n)
	}
	return "[" + strings.Join(q, ", ") + "]"
}

// clip bounds what a hostile body can put into a message.
func clip(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	s = s[:most]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
