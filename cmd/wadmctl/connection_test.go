package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
)

// freePort is a port nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestExitCodesWithoutAServer: what goes wrong before any wadm answers.
func TestExitCodesWithoutAServer(t *testing.T) {
	t.Parallel()
	empty, hub := natstest.Start(t), natstest.Start(t, natstest.WithDomain("hub"))
	guarded := natstest.Start(t, natstest.WithConfig(`
		authorization {
			users = [{user: "deployer", password: "sesame", permissions: {publish: ["other.>"], subscribe: ["_INBOX.>"]}}]
		}`))
	_, port, err := net.SplitHostPort(strings.TrimPrefix(guarded.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	deployer := "nats://deployer:sesame@127.0.0.1:" + port
	tests := map[string]struct {
		args, environ []string
		code          int
		stderr        []string
	}{
		"NATS unreachable":      {args: []string{"app", "list", "-p", freePort(t), "--timeout", "100ms"}, code: 9, stderr: []string{"error: cannot connect to NATS at 127.0.0.1:", "hint: is NATS running there?"}},
		"by variable":           {args: []string{"app", "list"}, environ: []string{"WASMCLOUD_CTL_HOST=localhost", "WASMCLOUD_CTL_PORT=" + freePort(t), "WASMCLOUD_CTL_TIMEOUT_MS=100"}, code: 9, stderr: []string{"cannot connect to NATS at localhost:"}},
		"nobody serves":         {args: []string{"app", "list", "-s", empty.URL()}, code: 9, stderr: []string{"cause: ", "no wadm server is listening", "hint: NATS answers, but no wadm serves"}},
		"nobody to deploy":      {args: []string{"app", "deploy", "x", "--wait", "-s", empty.URL()}, code: 9, stderr: []string{"no wadm server is listening"}},
		"no credentials":        {args: []string{"app", "list", "-p", port, "--timeout", "100ms"}, code: 10, stderr: []string{"Authorization Violation", "hint: check the credentials"}},
		"no permission":         {args: []string{"app", "list", "-s", deployer, "--timeout", "500ms"}, code: 10, stderr: []string{"wadm.api.default.model.get", "hint: check the credentials"}},
		"unreadable creds":      {args: []string{"app", "list", "--ctl-credsfile", "/does/not/exist"}, code: 6, stderr: []string{"/does/not/exist"}},
		"JWT without seed":      {args: []string{"app", "list"}, environ: []string{"WASMCLOUD_CTL_JWT=eyJ"}, code: 6, stderr: []string{"needs the seed"}},
		"bad variable":          {args: []string{"app", "list"}, environ: []string{"WASMCLOUD_CTL_PORT=http"}, code: 2, stderr: []string{"WASMCLOUD_CTL_PORT"}},
		"bad lattice":           {args: []string{"app", "list", "-x", "a.b"}, code: 2, stderr: []string{`--lattice: lattice "a.b"`}},
		"unknown context":       {args: []string{"app", "list", "--nats-context", "no-such-context-here"}, code: 6, stderr: []string{"no-such-context-here"}},
		"context of wash":       {args: []string{"app", "list", "-s", empty.URL(), "--context", "prod"}, code: 2, stderr: []string{"--context prod: contexts of wash are not read", "--nats-context"}},
		"domain of wash":        {args: []string{"app", "list", "-s", empty.URL(), "--js-domain", "hub", "--context", ""}, code: 9, stderr: []string{"no wadm server is listening"}},
		"ring in the domain":    {args: []string{"ring", "show", "-s", hub.URL(), "--jetstream-domain", "hub"}, code: 4, stderr: []string{"no wadm has run here"}},
		"ring in wash's domain": {args: []string{"instance", "list", "-s", hub.URL(), "--js-domain", "hub"}, code: 4, stderr: []string{"no wadm has run here"}},
		"ring in another one":   {args: []string{"ring", "show", "-s", hub.URL(), "--js-domain", "nowhere", "--timeout", "1s"}, code: 9, stderr: []string{"cannot read the ring"}},
		"unknown command":       {args: []string{"nope"}, code: 2, stderr: []string{`unknown command "nope" for "wadmctl"`, "see 'wadmctl --help'"}},
		"unknown app command":   {args: []string{"app", "nope"}, code: 2, stderr: []string{`unknown command "nope" for "wadmctl app"`, "see 'wadmctl app --help'"}},
		"unknown flag":          {args: []string{"app", "list", "--nope"}, code: 2, stderr: []string{"unknown flag: --nope", "see 'wadmctl app list --help'"}},
		"unknown output":        {args: []string{"app", "list", "-o", "xml"}, code: 2, stderr: []string{`unknown output format "xml"`}},
		"argument missing":      {args: []string{"app", "status"}, code: 2, stderr: []string{"argument missing"}},
		"argument too many":     {args: []string{"app", "status", "a", "b"}, code: 2, stderr: []string{`unexpected argument "b"`, "see 'wadmctl app status --help'"}},
		"fail-fast alone":       {args: []string{"app", "deploy", "x", "--fail-fast"}, code: 2, stderr: []string{"--fail-fast needs --wait"}},
		"version of a manifest": {args: []string{"app", "deploy", "x.yaml", "v1"}, code: 2, stderr: []string{"a manifest has its own"}},
		"replace of a name":     {args: []string{"app", "deploy", "x", "--replace"}, code: 2, stderr: []string{"for a manifest only"}},
		"name and all":          {args: []string{"app", "undeploy", "x", "--all"}, code: 2, stderr: []string{"give a name or --all"}},
		"two manifests":         {args: []string{"app", "put", "x.yaml", "-f", "y.yaml"}, code: 2, stderr: []string{"at once"}},
		"zero timeout":          {args: []string{"app", "list", "--timeout", "0"}, code: 2, stderr: []string{"above zero"}},
		"odd duration":          {args: []string{"app", "list", "--timeout", "soon"}, code: 2, stderr: []string{"70s"}},
		"interval apart":        {args: []string{"app", "list", "-w", "2s"}, code: 2, stderr: []string{`unexpected argument "2s"; an interval is written with a sign: -w=2s`}},
		"short watch":           {args: []string{"app", "list", "-w=1ms"}, code: 2, stderr: []string{"below 50ms"}},
		"bad name":              {args: []string{"app", "status", "a.b", "-s", empty.URL()}, code: 2, stderr: []string{`application "a.b"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := call(t.Context(), t, "", tt.environ, tt.args...)
			if r.code != tt.code || r.stdout != "" {
				t.Errorf("exit code %d, want %d; stdout %q, stderr:\n%s", r.code, tt.code, r.stdout, r.stderr)
			}
			for _, want := range tt.stderr {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("stderr does not say %q:\n%s", want, r.stderr)
				}
			}
			if strings.Contains(r.stderr, "sesame") {
				t.Errorf("a password is shown:\n%s", r.stderr)
			}
			// As JSON the same is told to programs.
			j := call(t.Context(), t, "", tt.environ, append([]string{"-o", "json"}, tt.args...)...)
			var doc struct {
				APIVersion string `json:"apiVersion"`
				Success    *bool  `json:"success"`
				Error      string `json:"error"`
				ExitCode   int    `json:"exit_code"`
			}
			// A mistake in the flags comes before the form of the output is known.
			if err := json.Unmarshal([]byte(j.stderr), &doc); err != nil {
				if tt.code != exitUsage {
					t.Errorf("stderr is no JSON: %v\n%s", err, j.stderr)
				}
				return
			}
			if doc.APIVersion != apiVersion || doc.Success == nil || *doc.Success || doc.Error == "" || doc.ExitCode != tt.code || j.code != tt.code {
				t.Errorf("exit code %d, JSON %s", j.code, j.stderr)
			}
		})
	}
}

// TestVersionTellsWhetherAServerAnswers and never fails for want of one.
func TestVersionTellsWhetherAServerAnswers(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no server: cannot connect": {"version", "-p", freePort(t), "--timeout", "100ms"},
		"no server: no answer":      {"version", "-s", natstest.Start(t).URL()},
		"API level":                 {"version", "--client"},
		"wadmctl " + version + "\n": {"--version"},
	} {
		r := call(t.Context(), t, "", nil, args...)
		if r.code != 0 || !strings.Contains(r.stdout, name) {
			t.Errorf("%v: exit code %d, %q %q", args, r.code, r.stdout, r.stderr)
		}
	}
}

// TestNATSContextsConnect: contexts of the nats tool name server and credentials.
func TestNATSContextsConnect(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithConfig(`authorization { users = [{user: "deployer", password: "sesame"}] }`))
	file := filepath.Join(t.TempDir(), "prod.json")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	context := fmt.Sprintf(`{"url": "nats://127.0.0.1:%s", "user": "deployer", "password": "sesame"}`, port)
	if err := os.WriteFile(file, []byte(context), 0o600); err != nil {
		t.Fatal(err)
	}
	r := call(t.Context(), t, "", nil, "app", "list", "--nats-context", file)
	if r.code != exitUnreachable || !strings.Contains(r.stderr, "no wadm server is listening") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	// wash's flag of a similar name means contexts of its own.
	if r := call(t.Context(), t, "", nil, "app", "list", "--context", file); r.code != exitUsage {
		t.Errorf("--context: exit code %d, %s", r.code, r.stderr)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(context, "sesame", "wrong", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := call(t.Context(), t, "", nil, "app", "list", "--nats-context", file); r.code != exitRefused {
		t.Errorf("wrong password: exit code %d, %s", r.code, r.stderr)
	}
}

// TestInterruptEndsTheWaitNotTheDeployment with a real process and a real signal.
func TestInterruptEndsTheWaitNotTheDeployment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := w.file("lost.yaml", manifestOf("lost", "v1", 1, "moon"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, talk lockedBuffer
	cmd := exec.Command(self, "-s", w.nats.URL(), "app", "deploy", lost, "--wait")
	cmd.Env = append(os.Environ(), asWadmctl+"=1")
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	w.until("progress is shown", func() bool { return strings.Contains(talk.String(), "failed 0/1  web: Could not satisfy") })
	begun := time.Now()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || out.String() != "" {
		t.Errorf("exit code %d, stdout %q", code, out.String())
	}
	for _, want := range []string{`stopped waiting; the deployment of "lost" goes on`, "wadmctl app status lost --watch"} {
		if !strings.Contains(talk.String(), want) {
			t.Errorf("stderr does not say %q:\n%s", want, talk.String())
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v to stop", took)
	}
	if r := w.run("app", "status", "lost"); !strings.HasPrefix(r.stdout, "lost@v1 - Failed") {
		t.Errorf("afterwards: %s%s", r.stdout, r.stderr)
	}
}

// TestServersThatAnswerOddly: refusals of other kinds keep their exit codes.
func TestServersThatAnswerOddly(t *testing.T) {
	t.Parallel()
	for reply, code := range map[string]int{
		`{"result":"error","message":"quota: 20 of 20 applications"}`: exitRefused,
		`{"result":"error","message":"Internal storage error"}`:       exitFailed,
		`{"result":"error","message":"Unable to parse manifest: no"}`: exitInvalid,
		`{"result":"notfound","message":"no such thing"}`:             exitNotFound,
		`not JSON`: exitFailed,
	} {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			s := natstest.Start(t)
			nc := s.Connect(t)
			if _, err := nc.Subscribe("wadm.api.>", func(m *nats.Msg) { _ = m.Respond([]byte(reply)) }); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			r := call(t.Context(), t, manifestOf("x", "v1", 1, "a"), nil, "app", "put", "-", "-s", s.URL())
			if r.code != code || r.stdout != "" {
				t.Errorf("exit code %d, want %d; %s", r.code, code, r.stderr)
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		s := natstest.Start(t)
		nc := s.Connect(t)
		if _, err := nc.SubscribeSync("wadm.api.>"); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		r := call(t.Context(), t, "", nil, "app", "list", "-s", s.URL(), "-t", "100")
		if r.code != exitUnreachable || !strings.Contains(r.stderr, "no answer in time") {
			t.Errorf("exit code %d, %s", r.code, r.stderr)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if r := call(ctx, t, "", nil, "app", "list", "-p", freePort(t)); r.code != exitInterrupted {
			t.Errorf("exit code %d, %s", r.code, r.stderr)
		}
	})
}
