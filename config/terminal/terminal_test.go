package terminal_test

import (
	"testing"

	"wadm/config/terminal"
)

func TestSafe(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "plain": "plain", "two\nlines\tand\r": "two lines and ", "\x1b[2J": " [2J", "\u009b2J": " 2J", "\x7f": " ", "ä – 界": "ä – 界",
	} {
		if got := terminal.Safe(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestOrDash(t *testing.T) {
	t.Parallel()
	if terminal.OrDash("") != "-" || terminal.OrDash("x") != "x" {
		t.Error("only no text is a dash")
	}
}
