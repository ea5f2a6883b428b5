package httpadmin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/telemetry"
	"wadm/telemetry/httpadmin"
)

var quiet = slog.New(slog.DiscardHandler)

// serve runs an admin endpoint until the test ends and returns its URL.
func serve(t *testing.T, health *telemetry.Health) string {
	t.Helper()
	a, err := httpadmin.New("127.0.0.1:0", health, httpadmin.NewMetrics("1.2.3", "one"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	a.Page("/ring", "who <owns> what", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ring") }))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + a.Addr()
}

func ask(t *testing.T, method, url string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func TestProbesTellTheTruth(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	h := telemetry.NewHealth()
	h.AddReadiness("nats", func(context.Context) error {
		if broken.Load() {
			return errors.New("not connected")
		}
		return nil
	})
	url := serve(t, h)
	check := func(method, path string, status int, body string) {
		t.Helper()
		if gotStatus, gotBody, _ := ask(t, method, url+path); gotStatus != status || gotBody != body {
			t.Errorf("%s %s: got %d %q, want %d %q", method, path, gotStatus, gotBody, status, body)
		}
	}
	const ok = `{"status":"ok"}`
	check("GET", "/livez", 200, ok)
	check("GET", "/readyz?verbose=1", 200, ok)
	check("HEAD", "/livez", 200, "")
	check("HEAD", "/readyz", 200, "")
	check("POST", "/livez", 405, "method `POST` not supported for path `/livez`")
	check("DELETE", "/readyz", 405, "method `DELETE` not supported for path `/readyz`")
	check("POST", "/nope/x?y", 404, "unknown endpoint `/nope/x`")
	check("GET", "/ring", 200, "ring")

	broken.Store(true)
	check("GET", "/readyz", 503, `{"status":"failure","reasons":["nats: not connected"]}`)
	check("HEAD", "/readyz", 503, "")
	check("GET", "/livez", 200, ok)
	broken.Store(false)
	check("GET", "/readyz", 200, ok)
	check("GET", "/livez", 200, ok)
}

// TestIndexLinksWhatThereIs: every page is listed with a link that works, and
// nothing else is answered.
func TestIndexLinksWhatThereIs(t *testing.T) {
	t.Parallel()
	url := serve(t, telemetry.NewHealth())
	status, body, header := ask(t, "GET", url+"/")
	if status != 200 || header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(body, "who &lt;owns&gt; what") {
		t.Errorf("%d %v\n%s", status, header, body)
	}
	var links []string
	for _, m := range regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		links = append(links, m[1])
		if status, body, _ := ask(t, "GET", url+m[1]); status != 200 {
			t.Errorf("%s: %d %s", m[1], status, body)
		}
	}
	if d := cmp.Diff([]string{"/livez", "/readyz", "/metrics", "/debug/pprof/", "/ring"}, links); d != "" {
		t.Error(d)
	}
	if status, _, _ := ask(t, "POST", url+"/"); status != 404 && status != 405 {
		t.Errorf("POST: %d", status)
	}
}

func TestSlowCheckIsCutOff(t *testing.T) {
	t.Parallel()
	h := telemetry.NewHealth()
	h.AddReadiness("slow", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if got := h.Ready(t.Context()); len(got) != 1 || !strings.Contains(got[0], "slow: context deadline") {
		t.Errorf("got %v", got)
	}
}

func TestIdleClientsDoNotBlockProbes(t *testing.T) {
	t.Parallel()
	url := serve(t, telemetry.NewHealth())
	for range 20 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	if status, _, _ := ask(t, "GET", url+"/livez"); status != 200 {
		t.Errorf("got %d", status)
	}
}

func TestMetricsShowRuntimeAndBuild(t *testing.T) {
	t.Parallel()
	url := serve(t, telemetry.NewHealth())
	status, body, header := ask(t, "GET", url+"/metrics")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
		t.Fatalf("got %d, %v", status, header)
	}
	for _, want := range []string{`wadm_build_info{instance_id="one",version="1.2.3"} 1`, "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestDebugPagesAreForThisMachineOnly(t *testing.T) {
	t.Parallel()
	if status, body, _ := ask(t, "GET", serve(t, telemetry.NewHealth())+"/debug/pprof/"); status != 200 || !strings.Contains(body, "goroutine") {
		t.Errorf("from here: %d", status)
	}
	a, err := httpadmin.New("127.0.0.1:0", telemetry.NewHealth(), httpadmin.NewMetrics("", ""), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.HandleDebug("/debug/x", http.NotFoundHandler())
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/x"} {
		for addr, want := range map[string]bool{"192.0.2.7:5": false, "[2001:db8::1]:5": false, "nonsense": false, "[::1]:5": true, "127.0.0.9:5": true, "[::ffff:127.0.0.1]:5": true} {
			r := httptest.NewRequest("GET", path, nil)
			r.RemoteAddr = addr
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			if allowed := w.Code != http.StatusForbidden; allowed != want {
				t.Errorf("%s from %s: got %d", path, addr, w.Code)
			}
		}
	}
}

func TestTakenAddressIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := httpadmin.New(l.Addr().String(), telemetry.NewHealth(), httpadmin.NewMetrics("", ""), quiet); err == nil {
		t.Error("no error")
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	a, err := httpadmin.New("127.0.0.1:0", telemetry.NewHealth(), httpadmin.NewMetrics("", ""), quiet)
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	a.Page("/slow", "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	ctx, cancel := context.WithCancel(t.Context())
	stopped, answer := make(chan error, 1), make(chan string, 1)
	go func() { stopped <- a.Run(ctx) }()
	go func() {
		res, err := http.Get("http://" + a.Addr() + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		answer <- fmt.Sprint(string(body), err)
	}()
	<-entered
	cancel()
	close(release)
	if got := <-answer; got != "done<nil>" {
		t.Errorf("got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	// Stopping before it was started serves nothing and is no failure.
	b, err := httpadmin.New("127.0.0.1:0", telemetry.NewHealth(), httpadmin.NewMetrics("", ""), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(ctx); err != nil {
		t.Error(err)
	}
}
