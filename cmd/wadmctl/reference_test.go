package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestReferencePageIsCurrent: docs/reference/wadmctl.md is what the commands
// say of themselves.
func TestReferencePageIsCurrent(t *testing.T) {
	t.Parallel()
	golden(t, filepath.Join("..", "..", "docs", "reference", "wadmctl.md"), reference())
}

// TestExitCodesPageAgreesWithTheHelp: one list of codes, told twice.
func TestExitCodesPageAgreesWithTheHelp(t *testing.T) {
	t.Parallel()
	var rows strings.Builder
	for line := range strings.Lines(exitCodesHelp) {
		if code, meaning, ok := strings.Cut(strings.TrimSpace(line), " "); ok && code != "Exit" {
			fmt.Fprintf(&rows, "| %s | %s |\n", code, strings.TrimSpace(meaning))
		}
	}
	page := readFile(t, filepath.Join("..", "..", "docs", "reference", "exit-codes.md"))
	if !strings.Contains(page, rows.String()) {
		t.Errorf("docs/reference/exit-codes.md does not have these rows:\n%s", rows.String())
	}
}

// TestVersionIsThatOfTheServer: both are released together.
func TestVersionIsThatOfTheServer(t *testing.T) {
	t.Parallel()
	server := readFile(t, filepath.Join("..", "wadm", "version.go"))
	for _, want := range []string{fmt.Sprintf("var version = %q\n", version), fmt.Sprintf("const apiLevel = %q\n", apiLevel)} {
		if !strings.Contains(server, want) {
			t.Errorf("cmd/wadm/version.go has no line %s", want)
		}
	}
}

// TestHelpIsComplete: every command and flag says what it is for.
func TestHelpIsComplete(t *testing.T) {
	t.Parallel()
	for _, c := range commands() {
		if c.Short == "" {
			t.Errorf("%s has no description", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" && !f.Hidden {
				t.Errorf("%s: flag --%s has no description", c.CommandPath(), f.Name)
			}
		})
	}
	r := call(t.Context(), t, "", nil, "--help")
	for _, want := range []string{"Usage:", "app ", "completion", "version", "Exit codes:", "WASMCLOUD_LATTICE"} {
		if !strings.Contains(r.stdout, want) || r.code != 0 {
			t.Errorf("help does not show %q (exit code %d):\n%s", want, r.code, r.stdout)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := call(t.Context(), t, "", nil, "completion", shell); r.code != 0 || !strings.Contains(r.stdout, "wadmctl") {
			t.Errorf("completion %s: exit code %d, %s", shell, r.code, r.stderr)
		}
	}
}

// commands lists the commands of our own, depth first.
func commands() []*cobra.Command {
	p := &program{out: &output{}}
	var all []*cobra.Command
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		all = append(all, c)
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				walk(sub)
			}
		}
	}
	root := p.root()
	root.InitDefaultCompletionCmd()
	walk(root)
	return all
}

func reference() string {
	var b strings.Builder
	b.WriteString("# wadmctl\n\n<!-- Written by go generate ./cmd/wadmctl from the commands. Change those instead. -->\n\n")
	for i, c := range commands() {
		if i > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n", c.CommandPath())
		}
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		if i == 0 {
			// The codes have a page of their own.
			text = strings.TrimSpace(strings.Replace(text, exitCodesHelp, "", 1)) + "\n\nExit codes: see [exit codes](exit-codes.md)."
		}
		fmt.Fprintf(&b, "%s\n", text)
		if c.HasSubCommands() {
			b.WriteString("\n| command | what it does |\n| --- | --- |\n")
			for _, sub := range c.Commands() {
				if sub.IsAvailableCommand() {
					fmt.Fprintf(&b, "| `%s` | %s |\n", sub.CommandPath(), sub.Short)
				}
			}
		} else {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", c.UseLine())
		}
		flags := c.LocalFlags()
		heading := ""
		switch {
		case i == 0:
			flags, heading = c.PersistentFlags(), "\nFlags of every command; in brackets the variable that is read without the flag:\n"
		case c.HasSubCommands():
			heading = "\nFlags of each of them:\n"
		}
		if rows := flagRows(flags); rows != "" {
			fmt.Fprintf(&b, "%s\n| flag | default | meaning |\n| --- | --- | --- |\n%s", heading, rows)
		}
	}
	return b.String()
}

func flagRows(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "` " + name
		}
		value := "–"
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			value = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, value, f.Usage)
	})
	return b.String()
}
