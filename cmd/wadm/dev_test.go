package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn"
	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

const unplaceable = `
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: lost
  annotations: {version: v1}
spec:
  components:
    - name: web
      type: component
      properties: {image: "registry.example.com/web:1"}
      traits:
        - type: spreadscaler
          properties:
            instances: 2
            spread: [{name: moon, requirements: {zone: moon}}]
`

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestDevExitCodesTellWhatBecameOfTheApplications is what scripts rely on.
func TestDevExitCodesTellWhatBecameOfTheApplications(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	lost := writeFile(t, unplaceable)
	unreadable := writeFile(t, "kind: [")
	misnamed := writeFile(t, strings.Replace(unplaceable, "name: lost", "name: not a name", 1))
	tests := map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"help":              {args: []string{"--help"}},
		"converged":         {args: []string{"--exit-when-converged", "--timeout", "60s"}},
		"three instances":   {args: []string{"--exit-when-converged", "--timeout", "60s", "--instances", "3", "--lattices", "6"}},
		"no instances":      {args: []string{"--instances", "0"}, code: 2, stderr: "not within 1 to 16"},
		"one lattice":       {args: []string{"--exit-when-converged", "--timeout", "60s", "--lattices", "1"}},
		"failed for good":   {args: []string{"--exit-when-converged", "--lattices", "1", "--timeout", "60s", "-f", lost}, code: 7, stderr: "lost in default: Could not satisfy spread moon"},
		"out of time":       {args: []string{"--timeout", "300ms", "--hosts", "0"}, code: 8, stderr: "time is up after 300ms: shop in default is "},
		"unknown flag":      {args: []string{"--nope"}, code: 2, stderr: "nope"},
		"argument":          {args: []string{"twice"}, code: 2, stderr: `unexpected argument "twice"`},
		"no lattices":       {args: []string{"--lattices", "0"}, code: 2, stderr: "not within 1 to 1000"},
		"no such file":      {args: []string{"-f", "/does/not/exist"}, code: 6, stderr: "/does/not/exist"},
		"unreadable":        {args: []string{"-f", unreadable}, code: 6, stderr: "app.yaml"},
		"invalid":           {args: []string{"-f", misnamed}, code: 6, stderr: "is not valid"},
		"same application":  {args: []string{"-f", lost, "-f", lost}, code: 6, stderr: `both describe application "lost"`},
		"data is no folder": {args: []string{"--data", lost}, code: 1, stderr: "make data folder"},
		"seconds":           {args: []string{"--heartbeat", "5", "--timeout", "1", "--hosts", "0"}, code: 8, stderr: "time is up after 1s"},
		"no duration":       {args: []string{"--heartbeat", "often"}, code: 2, stderr: "seconds such as 70"},
		"port taken":        {args: []string{"-p", port}, code: 1, stderr: "wadm dev: port " + port + " is taken; without --port a free one is chosen\n"},
		"no address":        {args: []string{"--http-admin", "99"}, code: 2, stderr: `--http-admin "99" must be ip:port`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr lockedBuffer
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			// Several servers are processes of their own, of this binary.
			if code := Run(ctx, append([]string{"dev"}, tt.args...), []string{asWadm + "=1"}, &stdout, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d; stdout:\n%s\nstderr:\n%s", code, tt.code, stdout.String(), stderr.String())
			}
			if got := stderr.String(); tt.stderr == "" && got != "" || !strings.Contains(got, tt.stderr) {
				t.Errorf("stderr is %q, want %q", got, tt.stderr)
			}
			if strings.Contains(stdout.String(), "\x1b") {
				t.Errorf("escape codes without a terminal: %q", stdout.String())
			}
		})
	}
}

// TestDevKeepsItsData: a second session with the same folder finds the
// applications of the first.
func TestDevKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 2 {
		var stdout, stderr lockedBuffer
		if code := Run(t.Context(), []string{"dev", "--data", dir, "--exit-when-converged", "--timeout", "60s"}, nil, &stdout, &stderr); code != 0 {
			t.Fatalf("session %d: exit code %d\n%s\n%s", i, code, stdout.String(), stderr.String())
		}
		for _, want := range []string{"host     default   a-1 joined (zone=a)", "shop-web to 5 on a-1: ", "shop deployed", "greeter deployed"} {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("session %d does not say %q:\n%s", i, want, stdout.String())
			}
		}
	}
}

// TestDevServesClientsAndHostsAndLeavesNothing runs a real process: clients
// and more hosts join, ^C ends it soon, and the temporary folder is gone.
func TestDevServesClientsAndHostsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	cmd, out := startDev(t, tmp)
	var m []string
	waitUntil(t, out, func() bool {
		m = regexp.MustCompile(`nats://\S+`).FindStringSubmatch(out.String())
		return m != nil
	})
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Server: strings.TrimSuffix(m[0], ",")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	guests, err := simhost.New(nc.Conn, "guests", simhost.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer guests.Close()
	if _, err := guests.AddHost(simhost.HostConfig{FriendlyName: "guest", Labels: map[string]string{"zone": "x"}}); err != nil {
		t.Fatal(err)
	}
	client, err := api.NewClient(nc.Conn, api.ClientConfig{Lattice: "guests"})
	if err != nil {
		t.Fatal(err)
	}
	app, err := readDevApp(devExamples.ReadFile, "devapps/greeter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, out, func() bool { return strings.Contains(out.String(), "answers requests") })
	if err := app.deploy(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"host     guests    guest joined (zone=x)",
		"command  guests    scale_component greeter-hello to 3 on guest: ",
		"status   guests    greeter deployed",
	} {
		waitUntil(t, out, func() bool { return strings.Contains(out.String(), want) })
	}

	begun := time.Now()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v:\n%s", err, out.String())
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("took %v to stop", took)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDevServersCanBeKilledAndDrained: each of several servers is a process. The
// session says which, whose lattices go to whom, and goes on without those that
// were killed or drained; none of them outlives it.
func TestDevServersCanBeKilledAndDrained(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	cmd, out := startDev(t, t.TempDir(), "--instances", "3", "--lattices", "12", "--http-admin", "127.0.0.1:0", "--log", log)
	waitUntil(t, out, func() bool { return strings.Contains(out.String(), "wadm-2 owns it") })
	pid := regexp.MustCompile(`instance +wadm-2 is process (\d+)\n`).FindStringSubmatch(out.String())
	if pid == nil {
		t.Fatalf("the process of wadm-2 is not told:\n%s", out)
	}
	if err := exec.Command("kill", "-9", pid[1]).Run(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"wadm-2 has died: signal: killed\n", "owns it, before wadm-2\n"} {
		waitUntil(t, out, func() bool { return strings.Contains(out.String(), want) })
	}

	url := regexp.MustCompile(`nats://[^\s,]+`).FindString(out.String())
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Server: url}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := natskv.RequestDrain(t.Context(), nc.Conn, "wadm-3"); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, out, func() bool { return strings.Contains(out.String(), "wadm-3 has given up its lattices and ended\n") })

	logged, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	admin := regexp.MustCompile(`admin endpoint is up.* address=(\S+) instance=wadm-1`).FindSubmatch(logged)
	if admin == nil {
		t.Fatalf("the log of wadm-1 is not in:\n%s", logged)
	}
	listens := func() bool {
		c, err := net.Dial("tcp", string(admin[1]))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	if !listens() {
		t.Errorf("wadm-1 is gone before its session:\n%s", out)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, out, func() bool { return !listens() })
}

// TestDevEndsWithItsLastServer, as that did: 0 when it was drained, 1 when it died.
func TestDevEndsWithItsLastServer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		drain string
		kill  string // before or after that
		first bool   // before
		code  int
		says  string
	}{
		"the only one is drained":         {drain: "dev", says: "wadm dev: the last server was drained, so all has ended\n"},
		"one is killed, the last drained": {drain: "wadm-2", kill: "wadm-1", first: true, says: "wadm dev: the last server was drained, so all has ended\n"},
		"one is drained, the last killed": {drain: "wadm-2", kill: "wadm-1", code: 1, says: "wadm dev: no server is left\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--instances", "1"}
			if tt.kill != "" {
				args[1] = "2"
			}
			cmd, out := startDev(t, t.TempDir(), args...)
			// Then both applications are with the servers: nothing is left to fail without one.
			waitUntil(t, out, func() bool { return strings.Contains(out.String(), "greeter deployed") })
			kill := func() {
				t.Helper()
				var pid []string
				waitUntil(t, out, func() bool {
					pid = regexp.MustCompile(tt.kill + ` is process (\d+)\n`).FindStringSubmatch(out.String())
					return pid != nil
				})
				if err := exec.Command("kill", "-9", pid[1]).Run(); err != nil {
					t.Fatal(err)
				}
			}
			if tt.first {
				kill()
				waitUntil(t, out, func() bool { return strings.Contains(out.String(), tt.kill+" has died") })
			}
			nc, err := natsconn.Connect(t.Context(), natsconn.Config{Server: regexp.MustCompile(`nats://[^\s,]+`).FindString(out.String())}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			waitUntil(t, out, func() bool {
				_, err := natskv.RequestDrain(t.Context(), nc.Conn, shard.MemberID(tt.drain))
				if err != nil && !errors.Is(err, natskv.ErrNoInstance) {
					t.Fatal(err)
				}
				return err == nil
			})
			if tt.kill != "" && !tt.first {
				waitUntil(t, out, func() bool { return strings.Contains(out.String(), tt.drain+" has given up its lattices and ended\n") })
				kill()
			}
			_ = cmd.Wait() // the code is what counts
			if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.HasSuffix(out.String(), tt.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, tt.code, tt.says, out)
			}
		})
	}
}

// TestDevSendsTracesWhereTheEnvironmentSays, whether its servers are processes of
// their own or not. What it says of a server is for others.
func TestDevSendsTracesWhereTheEnvironmentSays(t *testing.T) {
	t.Parallel()
	for _, instances := range []string{"1", "2"} {
		t.Run(instances, func(t *testing.T) {
			t.Parallel()
			var spans sink
			receiver := httptest.NewServer(&spans)
			t.Cleanup(receiver.Close)
			var stdout, stderr lockedBuffer
			environ := []string{asWadm + "=1", "OTEL_EXPORTER_OTLP_ENDPOINT=" + receiver.URL, "WADM_MULTITENANT=true"}
			if code := Run(t.Context(), []string{"dev", "--instances", instances, "--exit-when-converged", "--timeout", "60s"}, environ, &stdout, &stderr); code != 0 {
				t.Fatalf("exit code %d\n%s\n%s", code, stdout.String(), stderr.String())
			}
			spans.mu.Lock()
			defer spans.mu.Unlock()
			if len(spans.spans) == 0 {
				t.Error("no traces have arrived")
			}
		})
	}
}

// TestDevPassesOnWhatAServerSays, in whatever pieces it comes: lines of its log as
// they are, and what is none as errors.
func TestDevPassesOnWhatAServerSays(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	p := &passedOn{handler: slog.NewTextHandler(&got, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})}
	for _, piece := range []string{`{"time":"2026-01-02T03:04:05Z","lev`, `el":"WARN","msg":"late","lattice":"dev-2","instance":"wadm-1"}` + "\n" + `{"level":"DEBUG","msg":"unseen"}` + "\npanic: no\n", "rest"} {
		if n, err := p.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Errorf("wrote %d of %d bytes, %v", n, len(piece), err)
		}
	}
	if want := "level=WARN msg=late instance=wadm-1 lattice=dev-2\nlevel=ERROR msg=\"panic: no\"\n"; got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// TestDevTellsChangesOfOwner, and nothing of claims that change none.
func TestDevTellsChangesOfOwner(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := &devWatch{view: newDevView(devOptions{}, "", &out), owners: map[tenancy.Lattice]devOwner{}}
	for _, c := range []struct {
		owner shard.MemberID
		life  shard.Incarnation
		state shard.ClaimState
		says  string
		owned map[string]int
	}{
		{"a", "1", shard.Held, "a owns it", map[string]int{"a": 1}},
		{"a", "1", shard.Held, "", map[string]int{"a": 1}},
		{"a", "1", shard.Released, "", map[string]int{}},
		{"b", "2", shard.Held, "b owns it, before a", map[string]int{"b": 1}},
		{"b", "3", shard.Held, "b owns it in another life", map[string]int{"b": 1}},
		{"c", "4", shard.Held, "c owns it, before b", map[string]int{"c": 1}},
	} {
		out.Reset()
		body, err := shard.Record{Owner: c.owner, Incarnation: c.life, State: c.state}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		w.hear(&nats.Msg{Subject: "wadm.own.default.dev-2", Data: body})
		if said := strings.TrimSpace(out.String()); c.says == "" && said != "" || !strings.HasSuffix(said, c.says) {
			t.Errorf("%s %s by %s: says %q, want %q", c.state, c.life, c.owner, said, c.says)
		}
		if s := w.snapshot(); !maps.Equal(s.owned, c.owned) {
			t.Errorf("%s by %s: owned %v, want %v", c.state, c.owner, s.owned, c.owned)
		}
	}
}

// TestDevDoesNotCallAServerEndedThatSomebodyStartedAgain.
func TestDevDoesNotCallAServerEndedThatSomebodyStartedAgain(t *testing.T) {
	t.Parallel()
	v := newDevView(devOptions{}, "", io.Discard)
	w := &devWatch{view: v, owners: map[tenancy.Lattice]devOwner{}}
	row := func() string { return instanceTable(v.processes, w.snapshot().owned)[1] }
	claim := func(l string, life shard.Incarnation) {
		t.Helper()
		body, err := shard.Record{Owner: "wadm-1", Incarnation: life, State: shard.Held}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		w.hear(&nats.Msg{Subject: "wadm.own.default." + l, Data: body})
	}
	v.instance("wadm-1", 4711, "is process 4711")
	claim("a", "first")
	v.instance("wadm-1", 0, "has died")
	if got := row(); got != "wadm-1    ended    1 lattices" {
		t.Errorf("after its end: %q", got)
	}
	claim("b", "second")
	if got := row(); got != "wadm-1    -        2 lattices" {
		t.Errorf("started again: %q", got)
	}
}

// TestDevTellsWhatAKilledSessionHasLeft, before it waits for that, and nothing of a
// session that ended in order.
func TestDevTellsWhatAKilledSessionHasLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, out := startDev(t, t.TempDir(), "--data", dir)
	waitUntil(t, out, func() bool { return strings.Contains(out.String(), "dev owns it") })
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // killed
	const says = "waits 4s at most before it acts for 1 lattice(s): the last session was killed, and commands of dev may still arrive\n"
	for i, want := range []bool{true, false} {
		var stdout, stderr lockedBuffer
		args := []string{"dev", "--data", dir, "--lattices", "1", "--hosts", "1", "--exit-when-converged", "--timeout", "60s", "-f", writeFile(t, strings.Replace(unplaceable, "zone: moon", "zone: a", 1))}
		if code := Run(t.Context(), args, nil, &stdout, &stderr); code != 0 {
			t.Fatalf("session %d: exit code %d\n%s\n%s", i, code, stdout.String(), stderr.String())
		}
		told, acted := strings.Index(stdout.String(), says), strings.Index(stdout.String(), " owns it")
		if want != (told >= 0) || told > acted || strings.Count(stdout.String(), "at most") > 1 {
			t.Errorf("session %d:\n%s", i, stdout.String())
		}
	}
}

// TestDevTellsHowLongItWaits: as long as commands may still arrive, and without a
// server of the same name until the record of the old one expires.
func TestDevTellsHowLongItWaits(t *testing.T) {
	t.Parallel()
	held := func(owner shard.MemberID) shard.Head {
		return shard.Head{Seq: 1, Record: shard.Record{Owner: owner, Incarnation: "1", State: shard.Held}}
	}
	released := held("dev")
	released.Record.State = shard.Released
	for name, tt := range map[string]struct {
		heads map[shard.Key]shard.Head
		names []string
		want  string
	}{
		"nothing there":       {names: []string{"dev"}},
		"all given up":        {map[shard.Key]shard.Head{"default.a": released}, []string{"dev"}, ""},
		"unreadable":          {map[shard.Key]shard.Head{"default.a": {Seq: 1, Bad: true}}, []string{"dev"}, ""},
		"same name":           {map[shard.Key]shard.Head{"default.a": held("dev"), "default.b": released}, []string{"dev"}, "waits 4s at most before it acts for 1 lattice(s): the last session was killed, and commands of dev may still arrive"},
		"same names":          {map[shard.Key]shard.Head{"default.a": held("wadm-2"), "default.b": held("wadm-1")}, []string{"wadm-1", "wadm-2"}, "waits 4s at most before it acts for 2 lattice(s): the last session was killed, and commands of wadm-1, wadm-2 may still arrive"},
		"one name is missing": {map[shard.Key]shard.Head{"default.a": held("wadm-2"), "default.b": held("wadm-1")}, []string{"wadm-1"}, "waits 19s at most before it acts for 2 lattice(s): the last session was killed, and wadm-1, wadm-2 may count as living until their records expire"},
	} {
		if got := leftOver(tt.heads, tt.names); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestDevSessionsDoNotShareAFolder: a second session with the folder of a running
// one is refused and told why; once the first is gone, however it went, the folder
// is free.
func TestDevSessionsDoNotShareAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, out := startDev(t, t.TempDir(), "--data", dir)
	var stderr lockedBuffer
	if code := Run(t.Context(), []string{"dev", "--data", dir}, nil, io.Discard, &stderr); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if want := fmt.Sprintf("data folder %s is in use by another wadm dev (process %d): end that one, or give another folder", dir, first.Process.Pid); !strings.Contains(stderr.String(), want) {
		t.Errorf("stderr is %q, want %q", stderr.String(), want)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed
	var stdout lockedBuffer
	if code := Run(t.Context(), []string{"dev", "--data", dir, "--exit-when-converged", "--timeout", "60s"}, nil, &stdout, &stdout); code != 0 {
		t.Errorf("after a kill: exit code %d\n%s\nfirst:\n%s", code, stdout.String(), out)
	}
}

// TestDevRemovesWhatAKilledSessionLeft, and nothing that is in use or not its own.
func TestDevRemovesWhatAKilledSessionLeft(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	killed, _ := startDev(t, temp)
	running, _ := startDev(t, temp)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // it was killed
	if err := os.Mkdir(filepath.Join(temp, devTempPrefix+"mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	if left := foldersIn(t, temp); len(left) != 3 {
		t.Fatalf("before: %v", left)
	}
	third, _ := startDev(t, temp)
	if left := foldersIn(t, temp); len(left) != 3 {
		t.Errorf("want those of two sessions and one that is not a session's: %v", left)
	}
	for _, cmd := range []*exec.Cmd{running, third} {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if left := foldersIn(t, temp); len(left) != 1 {
		t.Errorf("after all have ended: %v", left)
	}
}

func foldersIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// startDev runs a session in a process of its own until it says where to connect.
func startDev(t *testing.T, temp string, args ...string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := &lockedBuffer{}
	cmd := exec.Command(self, append([]string{"dev", "--lattices", "1", "--hosts", "1", "--lines"}, args...)...)
	cmd.Env = append(os.Environ(), asWadm+"=1", "TMPDIR="+temp)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // does nothing once it has ended
	waitUntil(t, out, func() bool { return strings.Contains(out.String(), "nats://") })
	return cmd, out
}

// TestDevTableFitsTheScreen: whatever there is to show, and whatever names hosts
// have, no line is wider and no table higher than the terminal.
func TestDevTableFitsTheScreen(t *testing.T) {
	t.Parallel()
	now := time.Now()
	state := devState{}
	for i := range 100 {
		state.apps = append(state.apps, devAppRow{
			key:    devAppKey{"default", fmt.Sprintf("app-%d", i)},
			status: tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: strings.Repeat("long ", 50) + "\n\x1b[31mred"}, since: now,
		})
		state.hosts = append(state.hosts, devHost{
			lattice: "default", name: fmt.Sprintf("host-%d-é×", i), runs: map[lattice.WorkloadID]uint32{"web": 3, "http": 0}, last: now, state: []hostState{hostSilent, hostOK, hostLost}[i%3],
		})
	}
	var out bytes.Buffer
	v := newDevView(devOptions{lattices: 1, hosts: 100}, "nats://127.0.0.1:4222", &out)
	v.state = func() devState { return state }
	v.instance("wadm-1", 4711, "is process 4711")
	v.instance("wadm-2", 0, "has died: signal: killed")
	state.owned = map[string]int{"wadm-1": 7, "guest": 5}
	v.recent = []happening{{at: time.Second, lattice: "default", kind: "command", text: "scale"}}
	for _, size := range [][2]int{{80, 24}, {200, 60}, {20, 10}, {1, 1}} {
		lines := v.table(size[0], size[1], now)
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, l := range lines {
			if len([]rune(l)) > size[0] || strings.ContainsAny(l, "\x1b\n") {
				t.Errorf("%v: line %q", size, l)
			}
		}
	}
	text := strings.Join(v.table(80, 32, now), "\n")
	for _, want := range []string{"INSTANCE  PROCESS  OWNS", "guest     -        5 lattices", "wadm-1    4711     7 lattices", "wadm-2    ended    0 lattices", "APPLICATION", "app-0", "more", "HOST", "web×3  http", "silent 0s", "lost 0s", "command  default   scale", "keys: k kill"} {
		if !strings.Contains(text, want) {
			t.Errorf("table does not show %q:\n%s", want, text)
		}
	}
}

// TestDevCallsAHostByOneName: what a server says of a host, by its id or with the name
// before it, is told of its name, and which id that is can be seen.
func TestDevCallsAHostByOneName(t *testing.T) {
	t.Parallel()
	id := lattice.HostID("N" + strings.Repeat("A2", 27) + "B")
	var out bytes.Buffer
	w := &devWatch{
		view: newDevView(devOptions{}, "", &out), changed: make(chan struct{}), hosts: map[devHostKey]*devHost{},
		apps: map[devAppKey]*devAppState{}, stale: map[tenancy.Lattice]bool{},
	}
	w.event("default", lattice.Event{Host: id, Kind: lattice.HostStarted, Inventory: lattice.Inventory{FriendlyName: "a-1", Labels: map[string]string{"zone": "a"}}})
	for app, host := range map[string]string{"old": string(id), "new": id.Called("a-1")} {
		message := "Waiting for host " + host + ", which does not answer"
		w.status(devAppKey{"default", app}, tenancy.Status{Status: tenancy.StatusInfo{Type: tenancy.StatusReconciling, Message: message}})
		w.command("default", lattice.Command{Kind: lattice.ScaleComponent, Workload: "web", App: app, Host: id, Reason: "host " + host + " is not needed"})
	}
	for _, want := range []string{
		"a-1 joined (zone=a), id " + string(id) + "\n",
		"old reconciling: Waiting for host a-1, which does not answer\n",
		"new reconciling: Waiting for host a-1, which does not answer\n",
		"scale_component web to 0 on a-1: host a-1 is not needed\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not say %q:\n%s", want, out.String())
		}
	}
	s := w.snapshot()
	if apps := strings.Join(appTable(s.apps, time.Now()), "\n"); strings.Count(apps, "Waiting for host a-1, which does not answer") != 2 {
		t.Errorf("applications:\n%s", apps)
	}
	if row := hostTable(s.hosts, time.Now())[1]; !strings.HasPrefix(row, "a-1   "+string(id[:8])+"…  default  zone=a") {
		t.Errorf("host: %s", row)
	}
}

// TestDevTellsSilentHostsFromLostOnes: a missed heartbeat is silence, two are the
// loss, after which nothing is shown to run there and, some time later, nothing at
// all; a host that comes back is ok.
func TestDevTellsSilentHostsFromLostOnes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tt := range map[string]struct {
		gap, quiet time.Duration
		want       hostState
	}{
		"in time":                {time.Second, 1200 * time.Millisecond, hostOK},
		"one missed":             {time.Second, 2100 * time.Millisecond, hostSilent},
		"two missed":             {time.Second, 3100 * time.Millisecond, hostLost},
		"real host in time":      {30 * time.Second, 40 * time.Second, hostOK},
		"real host, one missed":  {30 * time.Second, 50 * time.Second, hostSilent},
		"real host, two missed":  {30 * time.Second, 62 * time.Second, hostLost},
		"interval not known yet": {0, 20 * time.Second, hostOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			key := devHostKey{"default", "one"}
			h := &devHost{lattice: "default", id: "one", name: "a-1", runs: map[lattice.WorkloadID]uint32{"web": 3}, last: now.Add(-tt.quiet), gap: tt.gap, state: hostOK}
			w := &devWatch{view: newDevView(devOptions{}, "", &out), hosts: map[devHostKey]*devHost{key: h}}
			w.listen(now)
			if h.state != tt.want {
				t.Errorf("is %s, want %s", h.state, tt.want)
			}
			if row := hostTable([]devHost{*h}, now)[1]; strings.Contains(row, "web×3") == h.state.gone() {
				t.Errorf("row: %s", row)
			}
			w.event("default", lattice.Event{Host: "one", Kind: lattice.HostHeartbeat})
			if h.state != hostOK {
				t.Errorf("after a heartbeat: %s", h.state)
			}
			w.killed("default", "one")
			w.listen(h.last.Add(10 * time.Minute))
			if len(w.hosts) != 0 {
				t.Error("a killed host is shown for ever")
			}
		})
	}
}
