package main

import (
	"context"
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

// examplePattern is a line of output that differs from run to run: a view, a row of
// a table, or what was left out.
var examplePattern = regexp.MustCompile(`^$|^view |^…$|^[a-z].*  `)

// TestSeveralInstancesTutorialWorks follows docs/tutorials/several-instances.md word
// for word, but for the port and the number of a process. Of what is printed, what
// does not differ from run to run is looked for.
func TestSeveralInstancesTutorialWorks(t *testing.T) {
	t.Parallel()
	bin, err := server()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(w.dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"wadm": bin, "wadmctl": self} {
		if err := os.Symlink(target, filepath.Join(w.dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	page := readFile(t, filepath.Join("..", "..", "docs", "tutorials", "several-instances.md"))
	const start = "bin/wadm dev --instances 3 --lattices 12 --port 4222"
	if !strings.Contains(page, "$ "+start+"\n") {
		t.Fatalf("the page does not start with %q", start)
	}
	var out lockedBuffer
	dev := exec.Command(bin, append(strings.Fields(strings.TrimSuffix(start, "4222"))[1:], "0")...)
	dev.Stdout, dev.Stderr = &out, &out
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = dev.Process.Signal(os.Interrupt)
		if err := dev.Wait(); err != nil || t.Failed() {
			t.Errorf("wadm dev ended with %v:\n%s", err, out.String())
		}
	})
	var port, killed []string
	w.until("address and processes are told", func() bool {
		port = regexp.MustCompile(`nats://127\.0\.0\.1:(\d+),`).FindStringSubmatch(out.String())
		killed = regexp.MustCompile(`wadm-3 is process (\d+)\n`).FindStringSubmatch(out.String())
		return port != nil && killed != nil
	})
	environ := []string{asWadmctl + "=1", "WASMCLOUD_CTL_PORT=" + port[1]}
	// What the page starts does not end by itself when the test fails.
	t.Cleanup(func() { call(context.WithoutCancel(t.Context()), t, "", environ, "instance", "drain", "wadm-3") })
	show := func(what, pattern, not string) {
		t.Helper()
		w.until(what, func() bool {
			r := call(t.Context(), t, "", environ, "ring", "show")
			return r.code == 0 && regexp.MustCompile(pattern).MatchString(r.stdout) && (not == "" || !regexp.MustCompile(not).MatchString(r.stdout))
		})
	}
	// before is what the page says to wait for, by the command that follows; and
	// nobody reads it so fast that no instance has started.
	before := map[string]func(){
		"bin/wadmctl ring show": func() { show("there is a view", `^view`, "") },
		"bin/wadmctl instance list": func() {
			show("each has its share", `(?s)wadm-1  .*wadm-2  .*wadm-3  `, "ramping|outside|lost")
		},
		"bin/wadmctl instance drain wadm-3 --wait": func() { show("the new one has a share", `wadm-3 +active, ramping`, "") },
	}
	for _, m := range blockPattern.FindAllStringSubmatch(page, -1) {
		var got, command string
		for line := range strings.Lines(m[2]) {
			line = strings.TrimSuffix(line, "\n")
			next, ok := strings.CutPrefix(line, "$ ")
			switch {
			case !ok && command != start && !examplePattern.MatchString(line):
				want := regexp.MustCompile(`\d+`).ReplaceAllString(regexp.QuoteMeta(line), `\d+`)
				want = regexp.MustCompile(` +`).ReplaceAllString(want, ` +`)
				if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(got) {
					t.Errorf("%s does not print %q:\n%s", command, line, got)
				}
			case ok:
				command = next
				if command == start {
					continue
				}
				if wait := before[command]; wait != nil {
					wait()
				}
				sh := exec.Command("sh", "-c", strings.NewReplacer("17057", killed[1], "4222", port[1]).Replace(command))
				sh.Dir, sh.Env = w.dir, append(os.Environ(), environ...)
				said, err := sh.CombinedOutput()
				if got = string(said); err != nil {
					t.Fatalf("%s: %v\n%s", command, err, got)
				}
				if strings.HasPrefix(command, "kill ") {
					w.until("wadm-1 has all", func() bool {
						return len(regexp.MustCompile(`(?m)^\S+ +wadm-1 +\d+ +wadm-1$`).FindAllString(call(t.Context(), t, "", environ, "ring", "owner").stdout, -1)) == 12
					})
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "wadm-3.log")); err != nil {
		t.Errorf("the page was not followed to its end: %v", err)
	}
}
