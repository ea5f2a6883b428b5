package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"wadm/config/terminal"
)

// apiVersion is in every JSON document. Fields are only ever added to it.
const apiVersion = "wadmctl/v1"

// output writes data to stdout and talk to stderr.
type output struct {
	stdout, stderr io.Writer
	json, quiet    bool
	// compact writes a JSON document in one line, for streams of them.
	compact bool
}

// say talks to the user, unless asked to be quiet.
func (o *output) say(format string, args ...any) {
	if !o.quiet {
		fmt.Fprintf(o.stderr, format+"\n", args...)
	}
}

// header is embedded in every JSON document. Success is what wash calls it.
type header struct {
	APIVersion string `json:"apiVersion"`
	Success    bool   `json:"success"`
}

func succeeded() header { return header{apiVersion, true} }

// print writes the data of a command: doc as JSON, or text.
func (o *output) print(doc any, text func(w io.Writer)) error {
	if !o.json {
		var b strings.Builder
		text(&b)
		if _, err := io.WriteString(o.stdout, b.String()); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		return nil
	}
	e := json.NewEncoder(o.stdout)
	e.SetEscapeHTML(false)
	if !o.compact {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// fail tells why the program ends, and returns its exit code.
func (o *output) fail(err error) int {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = &failure{code: exitFailed, what: err.Error()}
	}
	var chain []string
	if f.cause != nil {
		for line := range strings.SplitSeq(f.cause.Error(), "\n") {
			if line = strings.TrimSpace(line); line != "" {
				chain = append(chain, line)
			}
		}
	}
	if o.json {
		e := json.NewEncoder(o.stderr)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		_ = e.Encode(struct {
			header
			Error      string   `json:"error"`
			ErrorChain []string `json:"error_chain"`
			Hint       string   `json:"hint,omitempty"`
			ExitCode   int      `json:"exit_code"`
		}{header{apiVersion, false}, f.what, append([]string{}, chain...), f.hint, f.code})
		return f.code
	}
	fmt.Fprintf(o.stderr, "error: %s\n", terminal.Safe(f.what))
	for _, line := range chain {
		fmt.Fprintf(o.stderr, "cause: %s\n", terminal.Safe(line))
	}
	if f.hint != "" {
		fmt.Fprintf(o.stderr, "hint: %s\n", f.hint)
	}
	return f.code
}

// table writes rows in columns; the first row is the heading.
func table(w io.Writer, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(terminal.Safe(cell)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			cell = terminal.Safe(cell)
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// title writes a status as people read it: Deployed.
func title(s string) string {
	if s == "" {
		return "-"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// isTerminal tells whether w is a terminal that can be drawn on.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
