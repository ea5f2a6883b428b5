package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"wadm/config"
)

var update = flag.Bool("update", false, "rewrite the reference page")

// TestReferencePageIsCurrent: docs/reference/wadm.md is what the program says of itself.
func TestReferencePageIsCurrent(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "reference", "wadm.md")
	want := reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("the page differs from the flags; run go generate ./cmd/wadm (-want +got):\n%s", d)
	}
}

// TestUsagesAreCommands: what the help and the page list can be run.
func TestUsagesAreCommands(t *testing.T) {
	t.Parallel()
	for _, u := range usages[1:] {
		name := strings.TrimPrefix(u[0], "wadm ")
		if _, ok := subcommand(name); !ok {
			t.Errorf("there is no %s", u[0])
		}
	}
}

func reference() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# wadm

<!-- Written by go generate ./cmd/wadm from the flags. Change those instead. -->

%s
| command | what it does |
| --- | --- |
`, intro)
	for _, u := range usages {
		fmt.Fprintf(&b, "| `%s` | %s |\n", u[0], u[1])
	}
	b.WriteString(`
Exit codes: see [exit codes](exit-codes.md).

## wadm [OPTIONS]

In brackets the variable that is read without the flag. [Configuration](configuration.md) has the kinds of values, the
keys of the configuration file, and what exists in upstream wadm.

| flag | default | meaning |
| --- | --- | --- |
`)
	for _, o := range config.Options() {
		value := o.Default
		if o.Kind == config.KindBool && value == "false" {
			value = ""
		}
		help := o.Help
		if len(o.Values) > 0 {
			help += " One of " + strings.Join(o.Values, ", ") + "."
		}
		row(&b, o.Short, o.Long, value, help+" ["+o.Env+"]")
	}
	row(&b, "h", "help", "", "Print the help.")
	row(&b, "V", "version", "", "Print the version.")
	fmt.Fprintf(&b, `
## wadm dev

%s
%s
| flag | default | meaning |
| --- | --- | --- |
`, devIntro, devNotes)
	var o devOptions
	o.flags().VisitAll(func(f *pflag.Flag) {
		value := f.DefValue
		if value == "false" || value == "0" || value == "[]" {
			value = ""
		}
		row(&b, f.Shorthand, f.Name, value, f.Usage)
	})
	return b.String()
}

func row(b *strings.Builder, short, long, value, help string) {
	name := "`--" + long + "`"
	if short != "" {
		name = "`-" + short + "` " + name
	}
	if value == "" {
		value = "–"
	} else {
		value = "`" + value + "`"
	}
	fmt.Fprintf(b, "| %s | %s | %s |\n", name, value, help)
}
