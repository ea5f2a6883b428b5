package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block is a fenced block of a page with the word after the fence.
var blockPattern = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// progressPattern is a line of progress; how many there are and when differs.
var progressPattern = regexp.MustCompile(`(?m)^ +\d+\.\ds .*\n`)

// TestFirstRunTutorialWorks follows docs/tutorials/first-run.md: the files are
// written, the commands run against wadm dev, and what they print is compared.
func TestFirstRunTutorialWorks(t *testing.T) {
	t.Parallel()
	bin, err := server()
	if err != nil {
		t.Fatal(err)
	}
	var out lockedBuffer
	dev := exec.Command(bin, "dev", "--quiet")
	dev.Stdout = &out
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = dev.Process.Signal(os.Interrupt)
		if err := dev.Wait(); err != nil {
			t.Errorf("wadm dev ended with %v", err)
		}
	})
	w := &world{t: t, dir: t.TempDir()}
	w.until("the address is printed", func() bool { return strings.HasSuffix(out.String(), "\n") })
	url := strings.TrimSpace(out.String())
	environ := []string{"WASMCLOUD_CTL_PORT=" + url[strings.LastIndex(url, ":")+1:]}
	wadmctl := func(args ...string) result {
		for i, a := range args {
			if strings.HasSuffix(a, ".yaml") {
				args[i] = filepath.Join(w.dir, a)
			}
		}
		return call(t.Context(), t, "", environ, args...)
	}
	for _, lattice := range []string{"default", "dev-2"} {
		w.until("the examples are deployed in "+lattice, func() bool {
			return strings.Contains(wadmctl("app", "list", "-x", lattice).stdout, "Deployed\n")
		})
	}

	page := readFile(t, filepath.Join("..", "..", "docs", "tutorials", "first-run.md"))
	commands := 0
	for _, m := range blockPattern.FindAllStringSubmatch(page, -1) {
		switch kind, text := m[1], m[2]; kind {
		case "yaml":
			first, _, _ := strings.Cut(text, "\n")
			w.file(strings.TrimPrefix(first, "# "), text)
		case "console":
			var got strings.Builder
			for line := range strings.Lines(text) {
				command, ok := strings.CutPrefix(line, "$ ")
				if !ok {
					continue
				}
				commands++
				got.WriteString(line)
				if rest, ok := strings.CutPrefix(command, "wadmctl "); ok {
					r := wadmctl(strings.Fields(rest)...)
					got.WriteString(r.stderr + r.stdout)
					if r.code != 0 {
						fmt.Fprintf(&got, "[exit %d]\n", r.code)
					}
					continue
				}
				sh := exec.Command("sh", "-c", command)
				sh.Dir = w.dir
				if said, err := sh.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", command, err, said)
				}
			}
			clean := func(s string) string {
				return progressPattern.ReplaceAllString(strings.ReplaceAll(s, w.dir+"/", ""), "")
			}
			if d := cmp.Diff(clean(text), clean(got.String())); d != "" {
				t.Errorf("the page says otherwise (-page +got):\n%s", d)
			}
		}
	}
	if commands < 10 {
		t.Errorf("only %d commands found on the page", commands)
	}
}
