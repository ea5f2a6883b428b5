package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestValidateNamesThePlace: errors, warnings and advice carry file, line and
// column where those are known, and only errors make a manifest invalid.
func TestValidateNamesThePlace(t *testing.T) {
	t.Parallel()
	valid := manifestOf("hello", "v1", 2, "a")
	image := "image: registry.example.com/web:1"
	tests := map[string]struct {
		text, name string
		args       []string
		code       int
		stdout     []string
		never      []string
	}{
		"valid":          {text: valid, stdout: []string{"m.yaml: manifest is valid\n"}},
		"JSON":           {text: `{"kind": 1`, name: "m.json", code: 6, stdout: []string{"m.json:1:", ": error: "}},
		"syntax":         {text: "a: [\n", code: 6, stdout: []string{"m.yaml:1: error: did not find expected node content"}},
		"shape":          {text: strings.Replace(valid, "type: component", "type: thing", 1), code: 6, stdout: []string{"m.yaml:10:7: error: spec.components[0]: unknown variant `thing`, expected one of `actor`, `component`, `capability`\n"}},
		"rule":           {text: valid + "    - name: web\n      type: component\n      properties: {image: x/y:1}\n", code: 6, stdout: []string{"m.yaml:10:13: error: Duplicate component name in manifest: web"}},
		"unknown secret": {text: strings.Replace(valid, image, image+"\n        secrets: [{name: key, properties: {policy: vault, key: k}}]", 1), code: 6, stdout: []string{"m.yaml:14:26: error: secret 'key' is mapped to unknown policy 'vault'"}},
		"unknown field":  {text: strings.Replace(valid, image, image+"\n        confg: []", 1), code: 6, stdout: []string{"m.yaml:14:9: error: spec.components[0]: unknown field `confg`"}},
		"scaler field": {text: strings.Replace(valid, "instances:", "instnces:", 1), code: 6,
			stdout: []string{"m.yaml:17:13: error: component 'web': spreadscaler: unknown field 'instnces'; did you mean 'instances'?"}, never: []string{"deserialized", "needs"}},
		"spread field": {
			text: strings.Replace(manifestOf("hello", "v1", 2, "7"), "- name: there", "- name: there\n                weigt: 3", 1), code: 6,
			stdout: []string{
				"m.yaml:20:17: error: component 'web': spread 'there' of spreadscaler: unknown field 'weigt'; did you mean 'weight'?",
				"m.yaml:22:25: error: component 'web': spread 'there' of spreadscaler: the value of label 'zone' must be text: put it in quotes",
			},
		},
		"scaler value": {text: strings.Replace(valid, "instances: 2", "instances: two", 1), code: 6,
			stdout: []string{"m.yaml:17:24: error: component 'web': spreadscaler: 'instances' must be a whole number"}, never: []string{"deserialized"}},
		"scaler of nothing":  {text: strings.Replace(valid, "instances: 2", "spread: []", 1), code: 6, stdout: []string{"m.yaml:17:13: error: component 'web': spreadscaler needs 'instances'"}},
		"unknown trait":      {text: strings.Replace(valid, "spreadscaler", "spredscaler", 1), stdout: []string{"m.yaml:15:17: advice: component 'web': trait type 'spredscaler' is unknown to wadm and has no effect; did you mean 'spreadscaler'?", "manifest is valid"}},
		"trait of others":    {text: valid + "        - {type: example.com/autoscaler, properties: {most: 9}}\n", stdout: []string{"m.yaml:22:18: advice: component 'web': trait type 'example.com/autoscaler' is unknown to wadm and has no effect", "manifest is valid"}},
		"link field":         {text: valid + "        - {type: link, properties: {target: web, namespace: a, package: b, interfaces: [c], souce_config: []}}\n", stdout: []string{": advice: component 'web': link: unknown field 'souce_config'; did you mean 'source_config'? (ignored)", "manifest is valid"}},
		"link without":       {text: valid + "        - {type: link, properties: {target: web, namespace: a, interfaces: [c]}}\n", code: 6, stdout: []string{": advice: component 'web': link has no 'package' and is not made"}},
		"advice":             {text: strings.Replace(valid, "spreadscaler", "SpreadScaler", 1), stdout: []string{": advice: component 'web': trait type 'SpreadScaler' is unknown", "manifest is valid"}},
		"refs not asked":     {text: strings.Replace(valid, "registry.example.com/web:1", "file://./none.wasm", 1)},
		"refs: no file":      {text: strings.Replace(valid, "registry.example.com/web:1", "file://./none.wasm", 1), args: []string{"--check-image-refs"}, code: 6, stdout: []string{"image file://./none.wasm: no such file"}},
		"refs: no image":     {text: strings.Replace(valid, "registry.example.com/web:1", "not an image", 1), args: []string{"--check-image-refs"}, code: 6, stdout: []string{`image "not an image" is no reference`}},
		"refs: fine":         {text: valid, args: []string{"--check-image-refs"}},
		"hostile characters": {text: strings.Replace(valid, "name: web", `name: "a\u001b[31m"`, 1), args: []string{"--check-image-refs"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.name == "" {
				tt.name = "m.yaml"
			}
			path := filepath.Join(t.TempDir(), tt.name)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			r := call(t.Context(), t, "", nil, append([]string{"app", "validate", path}, tt.args...)...)
			if r.code != tt.code {
				t.Errorf("exit code %d, want %d:\n%s%s", r.code, tt.code, r.stdout, r.stderr)
			}
			for _, want := range tt.stdout {
				if !strings.Contains(r.stdout, want) {
					t.Errorf("stdout does not say %q:\n%s", want, r.stdout)
				}
			}
			for _, not := range tt.never {
				if strings.Contains(r.stdout, not) {
					t.Errorf("stdout says %q:\n%s", not, r.stdout)
				}
			}
			if strings.Contains(r.stdout+r.stderr, "\x1b") {
				t.Errorf("escape codes: %q", r.stdout+r.stderr)
			}
		})
	}
}

// TestManifestsComeFromFilesStandardInputAndTheWeb, and images given by relative
// paths are found from the manifest, not from where the program was called.
func TestManifestsComeFromFilesStandardInputAndTheWeb(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/web.yaml" {
			http.NotFound(rw, r)
			return
		}
		_, _ = rw.Write([]byte(manifestOf("web", "v1", 1, "a")))
	}))
	t.Cleanup(web.Close)
	environ := []string{"WASMCLOUD_CTL_PORT=" + w.port(), "WASMCLOUD_LATTICE=sources"}
	if r := call(t.Context(), t, manifestOf("piped", "v1", 1, "a"), environ, "app", "put"); r.code != 0 || !strings.Contains(r.stdout, `"piped", version "v1"`) {
		t.Errorf("standard input: %d %s%s", r.code, r.stdout, r.stderr)
	}
	if r := call(t.Context(), t, "", environ, "app", "put", web.URL+"/web.yaml"); r.code != 0 || !strings.Contains(r.stdout, `"web", version "v1"`) {
		t.Errorf("URL: %d %s%s", r.code, r.stdout, r.stderr)
	}
	if r := call(t.Context(), t, "", environ, "app", "put", web.URL+"/none.yaml"); r.code != exitInvalid || !strings.Contains(r.stderr, "404 Not Found") {
		t.Errorf("URL of nothing: %d %s%s", r.code, r.stdout, r.stderr)
	}
	if r := call(t.Context(), t, strings.Repeat("#", mostManifest+1), environ, "app", "put", "-"); r.code != exitInvalid || !strings.Contains(r.stderr, "longer than 1048576 bytes") {
		t.Errorf("too long: %d %s%s", r.code, r.stdout, r.stderr)
	}
	file := w.file("local.yaml", strings.Replace(manifestOf("local", "v1", 1, "a"), "registry.example.com/web:1", "file://./build/web.wasm", 1))
	if r := call(t.Context(), t, "", environ, "app", "put", "-f", file); r.code != 0 {
		t.Errorf("file: %d %s%s", r.code, r.stdout, r.stderr)
	}
	if r := call(t.Context(), t, "", environ, "app", "get", "local"); !strings.Contains(r.stdout, "image: file://"+filepath.Join(w.dir, "build", "web.wasm")+"\n") {
		t.Errorf("relative image:\n%s%s", r.stdout, r.stderr)
	}
	for _, url := range []string{"file://" + file, "file://localhost" + file} {
		if r := call(t.Context(), t, "", environ, "app", "put", url); r.code != 0 || !strings.Contains(r.stdout, `Unchanged application "local"`) {
			t.Errorf("%s: %d %s%s", url, r.code, r.stdout, r.stderr)
		}
	}
	for _, unreadable := range []string{w.dir, "file://elsewhere" + file, file + ".none.yaml"} {
		if r := call(t.Context(), t, "", environ, "app", "put", unreadable); r.code != exitInvalid || !strings.Contains(r.stderr, "cannot read manifest") {
			t.Errorf("%s: %d %s%s", unreadable, r.code, r.stdout, r.stderr)
		}
	}
	// The same file again is the same version.
	if r := call(t.Context(), t, "", environ, "app", "deploy", file); r.code != 0 || !strings.Contains(r.stdout, `Deployed application "local", version "v1"`) {
		t.Errorf("deploy file: %d %s%s", r.code, r.stdout, r.stderr)
	}
	// A version left to the server is a new one each time.
	unnamed := w.file("unnamed.yaml", strings.Replace(manifestOf("unnamed", "v1", 1, "a"), "    version: v1\n", "", 1))
	for range 2 {
		if r := call(t.Context(), t, "", environ, "app", "put", unnamed); r.code != 0 || !strings.HasPrefix(r.stdout, "Put ") {
			t.Errorf("without version: %d %s%s", r.code, r.stdout, r.stderr)
		}
	}
	// A version that is not there is told from one that was deleted.
	for _, step := range []struct{ version, want string }{
		{"v7", `Nothing deleted: there is no version "v7" of application piped`},
		{"v1", `Deleted application: piped, version "v1"`},
	} {
		if r := call(t.Context(), t, "", environ, "app", "delete", "piped", step.version); r.code != 0 || !strings.Contains(r.stdout, step.want) {
			t.Errorf("delete %s: %d %s%s", step.version, r.code, r.stdout, r.stderr)
		}
	}
	// Names complete from the server, and without one to nothing.
	r := call(t.Context(), t, "", environ, "__complete", "app", "status", "")
	if !strings.HasPrefix(r.stdout, "local\nunnamed\nweb\n:") {
		t.Errorf("completion: %d %q %s", r.code, r.stdout, r.stderr)
	}
	if r := call(t.Context(), t, "", nil, "__complete", "app", "status", "-p", freePort(t), ""); r.code != 0 || !strings.HasPrefix(r.stdout, ":") {
		t.Errorf("completion without a server: %d %q %s", r.code, r.stdout, r.stderr)
	}
}

// TestGetPrintsWhatPutTakes: the printed YAML is the manifest again.
func TestGetPrintsWhatPutTakes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		manifestOf("hello", "v1", 2, "a"),
		manifestOf("hello", `"1.10"`, 2, `"true"`),
		manifestOf("hello", `"0x1F"`, 2, `"two\nlines: and #more\t\u2028"`),
		manifestOf("hello", `"null"`, 2, `"~"`),
	} {
		src := source{name: "m.yaml", data: []byte(text)}
		m, err := src.parse()
		if err != nil {
			t.Fatal(err)
		}
		out, err := asYAML(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := source{name: "m.yaml", data: []byte(out)}.parse()
		if err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		if !same(m, again) {
			t.Errorf("%s\nbecame\n%s", text, out)
		}
	}
}

// TestWatchShowsChanges: without a terminal a watched status is printed as often
// as it changes, as JSON one document a line, without escape codes.
func TestWatchShowsChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := w.file("hello.yaml", manifestOf("hello", "v1", 2, "a"))
	if r := w.run("app", "put", file); r.code != 0 {
		t.Fatal(r.stderr)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, talk lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, []string{"-s", w.nats.URL(), "-o", "json", "app", "status", "hello", "-w=50ms"}, nil, strings.NewReader(""), &out, &talk)
	}()
	w.until("the first status", func() bool { return strings.Contains(out.String(), "\n") })
	if r := w.run("-q", "app", "deploy", "hello", "--wait"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	w.until("the change", func() bool {
		return strings.Contains(out.String(), `"deployed_version":"v1","status":{"status":{"type":"deployed"}`)
	})
	cancel()
	if code := <-done; code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	lines := 0
	for line := range strings.Lines(out.String()) {
		lines++
		if !json.Valid([]byte(line)) || strings.Contains(line, "\x1b") {
			t.Errorf("line %q", line)
		}
	}
	if lines < 2 || lines > 10 {
		t.Errorf("%d lines:\n%s", lines, out.String())
	}
}
