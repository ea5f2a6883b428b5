//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/loadtest/process"
	"wadm/tenancy"
)

// wash runs the client in a folder and returns what it wrote and its exit code.
func (w *world) wash(t *testing.T, dir string, args ...string) (string, int) {
	t.Helper()
	p, err := process.Start(process.Command{
		Path: filepath.Join(realDir, "wash"), Args: args, Dir: dir,
		Env: []string{
			"WASH_DATA_DIR=" + dir, "HOME=" + dir, "NO_COLOR=1", "RUST_BACKTRACE=0",
			"WASMCLOUD_CTL_HOST=127.0.0.1", "WASMCLOUD_CTL_PORT=" + w.port(), "WASMCLOUD_CTL_TIMEOUT_MS=10000",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Minute)
	defer cancel()
	code, err := p.Wait(ctx)
	if err != nil {
		t.Fatalf("wash %v: %v\n%s", args, err, p.Output())
	}
	return p.Output(), code
}

const washManifest = `apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: hello
  annotations:
    version: %s
    description: "first"
spec:
  components:
    - name: http-component
      type: component
      properties:
        image: registry.example.com/hello:0.1.0
      traits:
        - type: spreadscaler
          properties:
            instances: 2
`

// washFiles are what the recorded session worked on.
var washFiles = map[string]string{
	"w.wadm.yaml":  fmt.Sprintf(washManifest, "v1"),
	"w2.wadm.yaml": fmt.Sprintf(washManifest, "v2"),
	"wbad.yaml":    "apiVersion: core.oam.dev/v1beta1\nkind: [x,\n  y\n  name: z\n",
}

// recorded is one command of a recorded session.
type recorded struct {
	args   []string
	output string
	code   string
}

var exitLine = regexp.MustCompile(`(?m)^\[exit (\d+)\]\n?`)

func readSession(t *testing.T, path string) []recorded {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []recorded
	for _, part := range strings.Split("\n"+string(data), "\n$ wash ")[1:] {
		line, rest, _ := strings.Cut(part, "\n")
		m := exitLine.FindStringSubmatchIndex(rest)
		if m == nil {
			t.Fatalf("%q has no exit code", line)
		}
		out = append(out, recorded{args: strings.Fields(line), output: rest[:m[0]], code: rest[m[2]:m[3]]})
	}
	return out
}

// better are the answers in which ours says more than the recorded server: that
// one published no status before it had heard of a host.
var better = map[string]string{
	"app status hello": `hello@ - Failed Name Kind Status http_component SpreadScaler Failed (*) Status Messages http_component ` +
		`└ Could not satisfy spread default for registry.example.com/hello:0.1.0, 0/1 eligible hosts found.`,
	"app status hello -o json": `{"status": {"components": [], "scalers": [{"id": "ee99bd6de8e3cbeba0ba57b8a005171c4662f95dcfe7563efd274302ddca5f34",
		"kind": "SpreadScaler", "name": "hello-http_component", "status": {"type": "failed",
		"message": "Could not satisfy spread default for registry.example.com/hello:0.1.0, 0/1 eligible hosts found."}}],
		"status": {"type": "failed", "message": "Could not satisfy spread default for registry.example.com/hello:0.1.0, 0/1 eligible hosts found."},
		"version": ""}, "success": true}`,
}

// normal is what counts of an output: the value where it is JSON, else the words.
// A table breaks words to the width of the terminal, so its blanks go altogether.
func normal(s string) any {
	var v any
	if json.Unmarshal([]byte(s), &v) == nil {
		return v
	}
	if strings.Contains(s, "Deployed Version") {
		return strings.Join(strings.Fields(s), "")
	}
	return strings.Join(strings.Fields(s), " ")
}

// TestRealWash plays a session that was recorded against upstream's server.
func TestRealWash(t *testing.T) {
	w := newWorld(t)
	w.startWadm(t)
	dir := t.TempDir()
	for name, text := range washFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The first call greets the new user.
	w.wash(t, dir, "app", "list")
	deployed := false
	for _, r := range readSession(t, "testdata/wash-app.txt") {
		if r.args[1] == "validate" {
			continue // wash refuses an option that was added for the recording; no server is asked
		}
		line := strings.Join(r.args, " ")
		want := r.output
		if s, ok := better[line]; ok && deployed {
			want = s
			w.eventually(t, time.Minute, "hello has a status", func() error { return w.status("hello", tenancy.StatusFailed) })
		}
		out, code := w.wash(t, dir, r.args...)
		if diff := cmp.Diff(normal(want), normal(out)); diff != "" {
			t.Errorf("wash %s:\n%s", line, diff)
		}
		if fmt.Sprint(code) != r.code {
			t.Errorf("wash %s: exit code %d, want %s", line, code, r.code)
		}
		deployed = deployed || r.args[1] == "deploy" && code == 0
	}
}
