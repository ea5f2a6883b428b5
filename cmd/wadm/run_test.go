package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wadm/config/natsconn/natstest"
)

// asWadm makes the test binary behave as the program itself, so that a real
// process can be sent real signals.
const asWadm = "TEST_RUN_AS_WADM"

func TestMain(m *testing.M) {
	if os.Getenv(asWadm) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "wadm.yaml")
	if err := os.WriteFile(file, []byte("max_jbos: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args, environ []string
		code          int
		stdout        string
		stderr        string
	}{
		"version":              {args: []string{"--version"}, code: 0, stdout: `^wadm \d+\.\d+\.\d+\n$`},
		"version by command":   {args: []string{"version"}, code: 0, stdout: `^wadm \d+\.\d+\.\d+\nAPI level 0\.21\n`},
		"help":                 {args: []string{"-h"}, code: 0, stdout: `--nats-server`},
		"help by command":      {args: []string{"help"}, code: 0, stdout: `--nats-server`},
		"more than help":       {args: []string{"help", "dev"}, code: 2, stderr: `^wadm help: unexpected argument "dev"\n$`},
		"more than version":    {args: []string{"version", "foo"}, code: 2, stderr: `^wadm version: unexpected argument "foo"\n$`},
		"unknown flag":         {args: []string{"--nope"}, code: 2, stderr: `nope`},
		"unknown command":      {args: []string{"serve"}, code: 2, stderr: `unexpected argument "serve"`},
		"bad variable":         {environ: []string{"WADM_MULTITENANT=maybe"}, code: 2, stderr: `WADM_MULTITENANT`},
		"bad file":             {args: []string{"--config", file}, code: 6, stderr: `wadm\.yaml:1:1: unknown key "max_jbos"`},
		"credentials missing":  {args: []string{"--nats-creds-file", "/does/not/exist"}, code: 6, stderr: `/does/not/exist`},
		"tracing unusable":     {args: []string{"--tracing"}, environ: []string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, code: 6, stderr: `grpc`},
		"admin address taken":  {args: []string{"--http-admin", taken.Addr().String()}, code: 1, stderr: `bind admin address`},
		"NATS not reachable":   {args: []string{"-s", "127.0.0.1:1", "--nats-start-timeout=50ms"}, code: 9, stderr: `not reachable`},
		"even replicas":        {args: []string{"--replicas", "2"}, code: 2, stderr: `--replicas: "2" must be 1, 3 or 5`},
		"many tenants":         {args: []string{"--multitenant", "-s", "127.0.0.1:1", "--nats-start-timeout=1h"}, code: 6, stderr: `--multitenant is not available`},
		"warning of a mistype": {args: []string{"-s", "127.0.0.1:1", "--nats-start-timeout=50ms"}, environ: []string{"WADM_MAX_JOB=1"}, code: 9, stderr: `WADM_MAX_JOBS`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if code := Run(t.Context(), tt.args, tt.environ, &stdout, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d; stderr:\n%s", code, tt.code, stderr.String())
			}
			for _, out := range []struct {
				name, want, got string
			}{{"stdout", tt.stdout, stdout.String()}, {"stderr", tt.stderr, stderr.String()}} {
				if out.want == "" && out.got != "" || !regexp.MustCompile(out.want).MatchString(out.got) {
					t.Errorf("%s is %q, want %q", out.name, out.got, out.want)
				}
			}
		})
	}
}

// running is a server inside the test's process.
type running struct {
	log  *lockedBuffer
	code chan int
	stop context.CancelCauseFunc
}

func runInProcess(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(t.Context()))
	r := &running{log: &lockedBuffer{}, code: make(chan int, 1), stop: cancel}
	args = append([]string{"--http-admin", "127.0.0.1:0"}, args...)
	go func() { r.code <- Run(ctx, args, nil, io.Discard, r.log) }()
	t.Cleanup(func() { cancel(errors.New("test ended")) })
	return r
}

// ended stops the server and returns its exit code.
func (r *running) ended(t *testing.T) int {
	t.Helper()
	r.stop(errors.New("enough"))
	select {
	case code := <-r.code:
		return code
	case <-time.After(30 * time.Second):
		t.Fatalf("does not stop; log:\n%s", r.log)
		return -1
	}
}

func (r *running) adminURL(t *testing.T) string {
	t.Helper()
	var m []string
	waitUntil(t, r.log, func() bool {
		m = regexp.MustCompile(`admin endpoint is up.* address=(\S+)`).FindStringSubmatch(r.log.String())
		return m != nil
	})
	return "http://" + m[1]
}

func TestProbesFollowNATSAndLivenessDoesNot(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	url := s.URL()
	s.Stop()
	r := runInProcess(t, "-s", url, "--instance-id", "one")
	admin := r.adminURL(t)
	probe := func(path string) (int, string) { return get(t, admin+path) }
	live := func(when string) {
		t.Helper()
		if status, body := probe("/livez"); status != 200 {
			t.Errorf("%s: not alive: %s", when, body)
		}
	}
	if status, body := probe("/readyz"); status != 503 || !strings.Contains(body, "process: starting") {
		t.Errorf("without NATS: %d %s", status, body)
	}
	live("without NATS")
	s.StartAgain(t)
	waitUntil(t, r.log, func() bool { status, _ := probe("/readyz"); return status == 200 })
	live("with NATS")

	s.Stop()
	waitUntil(t, r.log, func() bool { status, _ := probe("/readyz"); return status == 503 })
	if _, body := probe("/readyz"); !strings.Contains(body, `"status":"failure"`) || !strings.Contains(body, "nats: connection to NATS is") {
		t.Errorf("NATS gone: %s", body)
	}
	live("NATS gone")
	if _, body := probe("/metrics"); !strings.Contains(body, `wadm_nats_connected{connection="main"} 0`) {
		t.Errorf("metrics do not show the loss:\n%s", body)
	}
	s.StartAgain(t)
	waitUntil(t, r.log, func() bool { status, _ := probe("/readyz"); return status == 200 })
	if code := r.ended(t); code != 0 {
		t.Errorf("exit code %d; log:\n%s", code, r.log)
	}
}

func TestStopWhileStartingIsOrderly(t *testing.T) {
	t.Parallel()
	r := runInProcess(t, "-s", "127.0.0.1:1", "--nats-start-timeout=1h")
	r.adminURL(t)
	if code := r.ended(t); code != 0 {
		t.Errorf("exit code %d; log:\n%s", code, r.log)
	}
}

func TestAnOptionHasItsEffectOrAWarning(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	r := runInProcess(t, "-s", s.URL(), "--manifest-bucket-max-bytes=1048576", "--max-jobs=3", "--cleanup-interval=70")
	admin := r.adminURL(t)
	waitUntil(t, r.log, func() bool { status, _ := get(t, admin+"/readyz"); return status == 200 })
	info, err := s.JetStream(t).Stream(t.Context(), "KV_wadm_catalog")
	if err != nil || info.CachedInfo().Config.MaxBytes != 1<<20 {
		t.Errorf("the catalog is not limited: %+v, %v", info, err)
	}
	if log := r.log.String(); strings.Count(log, "setting has no effect") != 1 || !strings.Contains(log, "--max-jobs") {
		t.Errorf("not one warning of --max-jobs:\n%s", log)
	}
}

func TestPagesShowVersionAndConfigurationWithoutSecrets(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, natstest.WithConfig(`authorization { user: joe, password: sesame }`))
	r := runInProcess(t, "-s", "joe:sesame@"+strings.TrimPrefix(s.URL(), "nats://"), "--instance-id", "one")
	admin := r.adminURL(t)
	waitUntil(t, r.log, func() bool { status, _ := get(t, admin+"/readyz"); return status == 200 })
	_, body := get(t, admin+"/version")
	var build buildInfo
	if err := json.Unmarshal([]byte(body), &build); err != nil || build.Version != version || build.Instance != "one" || build.APILevel != "0.21" || !strings.Contains(body, `"api_level"`) {
		t.Errorf("/version is %s, %v", body, err)
	}
	_, body = get(t, admin+"/config")
	config := body
	_, body = get(t, admin+"/ring")
	var page ringPage
	if err := json.Unmarshal([]byte(body), &page); err != nil || page.Instance != "one" || !page.Ready || len(page.View.Members) != 1 || page.View.Members[0].Instance != "one" ||
		len(page.Members) != 1 || !page.Members[0].InView || page.Digest == "" {
		t.Errorf("/ring is %s, %v", body, err)
	}
	if odd := regexp.MustCompile(`"[^" ]*[A-Z][^" ]*":`).FindString(body); odd != "" {
		t.Errorf("/ring has a name in another style, %s:\n%s", odd, body)
	}
	_, body = get(t, admin+"/")
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/version", "/config", "/ring", "/debug/pprof/"} {
		if status, page := get(t, admin+path); status != 200 || !strings.Contains(body, `href="`+path+`"`) {
			t.Errorf("%s: %d %.200s, or not in the index:\n%s", path, status, page, body)
		}
	}
	body = config
	if !strings.Contains(body, `"key": "instance_id"`) || !strings.Contains(body, "(hidden)@") {
		t.Errorf("/config is %s", body)
	}
	if r.ended(t) != 0 || strings.Contains(body+r.log.String(), "sesame") {
		t.Errorf("a password is shown, or the stop failed; log:\n%s", r.log)
	}
}

// process runs the program for real.
func process(t *testing.T, args ...string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asWadm+"=1")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // does nothing once it has ended
	return cmd, log
}

func TestSignalsStopARealProcessInOrder(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	if !signal.Ignored(syscall.SIGHUP) { // the process inherits that from a test under nohup
		signals = append(signals, syscall.SIGHUP)
	}
	for _, sig := range signals {
		cmd, log := process(t, "-s", s.URL(), "--structured-logging")
		waitUntil(t, log, func() bool { return strings.Contains(log.String(), "wadm is ready") })
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v; log:\n%s", sig, err, log)
		}
		for _, want := range []string{"received " + sig.String(), "wadm has stopped"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%v: log does not say %q:\n%s", sig, want, log)
			}
		}
		for line := range strings.Lines(log.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("line is no JSON: %s", line)
			}
		}
	}
}

// TestNohupIsHonoured: a server that is to outlive its terminal does.
func TestNohupIsHonoured(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	cmd := exec.Command("sh", "-c", `trap "" HUP; exec "$0" "$@"`, self, "-s", s.URL())
	cmd.Env, cmd.Stderr = append(os.Environ(), asWadm+"=1"), log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // does nothing once it has ended
	waitUntil(t, log, func() bool { return strings.Contains(log.String(), "wadm is ready") })
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "received terminated") {
		t.Errorf("%v; log:\n%s", err, log)
	}
}

// TestSignalsOfOneMomentAreOneRequest: ^C reaches a process from its terminal and
// from what started it, and still hands over in order.
func TestSignalsOfOneMomentAreOneRequest(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	cmd, log := process(t, "-s", s.URL())
	waitUntil(t, log, func() bool { return strings.Contains(log.String(), "wadm is ready") })
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGINT} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "wadm has stopped") {
		t.Errorf("%v; log:\n%s", err, log)
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	// A server that accepts and then says nothing holds the start up for as long
	// as one attempt to connect may take, whatever the context says.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	cmd, log := process(t, "-s", mute.Addr().String())
	c, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// The first ones count as one request.
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for waiting := true; waiting; {
		select {
		case err = <-ended:
			waiting = false
		case <-again.C:
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(log.String(), "stopping at once") {
		t.Errorf("got %v; log:\n%s", err, log)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func waitUntil(t *testing.T, log *lockedBuffer, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen in 30 s; log:\n%s", log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// lockedBuffer lets a test read a log while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestStartWaitsForJetStream: a NATS server without JetStream answers none of
// its requests; the start goes on trying and then says what is missing.
func TestStartWaitsForJetStream(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t, natstest.WithoutJetStream())
	var stderr bytes.Buffer
	code := Run(t.Context(), []string{"-s", ns.URL(), "--nats-start-timeout", "1s"}, nil, io.Discard, &stderr)
	if code == exitOK || !strings.Contains(stderr.String(), "trying on") {
		t.Errorf("exit code %d; log:\n%s", code, stderr.String())
	}
}
