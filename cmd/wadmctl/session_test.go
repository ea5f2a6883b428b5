package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files and the reference page")

// golden compares text with a file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs; if that is meant, run the test with -update (-want +got):\n%s", path, d)
	}
}

// TestSessionsReadAsRecorded pins what people and scripts see, word for word,
// with exit codes, against a real server process.
func TestSessionsReadAsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file("hello.yaml", manifestOf("hello", "v1", 2, "a"))
	w.file("changed.yaml", manifestOf("hello", "v1", 3, "a"))
	w.file("hello2.yaml", manifestOf("hello", "v2", 4, "b"))
	w.file("lost.yaml", manifestOf("lost", "v1", 1, "moon"))
	w.file("broken.yaml", "metadata: [\n")
	for _, session := range []struct {
		name  string
		lines []string
	}{
		{"text", []string{
			"app list",
			"app put hello.yaml",
			"app put hello.yaml",
			"app put changed.yaml",
			"app put broken.yaml",
			"app put none.yaml",
			"app list",
			"app get hello v1",
			"app get hello v7",
			"app deploy hello v7",
			"-q app deploy hello --wait",
			"app status hello",
			"app list",
			"-q app deploy hello2.yaml --wait",
			"app history hello",
			"app deploy changed.yaml",
			"-q app deploy changed.yaml --replace --wait",
			"app history hello",
			"-q app deploy lost.yaml --wait --fail-fast",
			"-q app deploy lost --wait --timeout 300ms",
			"app status lost",
			"app undeploy nope",
			"-q app undeploy hello --wait",
			"app status hello",
			"app delete hello v2",
			"app history hello",
			"-q app undeploy --all --wait",
			"app undeploy --all",
			"app delete --all-undeployed",
			"app delete hello.yaml",
			"app status hello",
			"app history hello",
			"app get",
		}},
		{"json", []string{
			"-o json app put hello.yaml",
			"-o json -q app deploy hello --wait",
			"-o json app list",
			"-o json app get hello",
			"-o json app status hello",
			"-o json app history hello",
			"-o json app put changed.yaml",
			"-o json app get nope",
			"-o json -q app undeploy hello --wait",
			"-o json app delete hello",
			"-o json app validate hello.yaml",
			"-o json app validate broken.yaml",
			"-o json app list",
		}},
	} {
		var b strings.Builder
		for _, line := range session.lines {
			args := strings.Fields(line)
			for i, a := range args {
				if strings.HasSuffix(a, ".yaml") {
					args[i] = filepath.Join(w.dir, a)
				}
			}
			r := w.run(args...)
			fmt.Fprintf(&b, "$ wadmctl %s\n%s", line, r.stdout)
			for said := range strings.Lines(r.stderr) {
				fmt.Fprintf(&b, "! %s", said)
			}
			fmt.Fprintf(&b, "[exit %d]\n\n", r.code)
		}
		golden(t, filepath.Join("testdata", session.name+".txt"), strings.ReplaceAll(b.String(), w.dir+"/", ""))
	}
	if v := w.sim.Violations(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}
