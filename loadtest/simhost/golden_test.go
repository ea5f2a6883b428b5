package simhost_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// line is one line of a recording of real hosts.
type line struct {
	T       float64         `json:"t"`
	Subject string          `json:"subject"`
	Reply   string          `json:"reply"`
	Data    json.RawMessage `json:"data"`
}

// payload is what was on the wire: text that was no JSON is recorded as a string.
func (l line) payload() []byte {
	var s string
	if json.Unmarshal(l.Data, &s) == nil {
		return []byte(s)
	}
	return l.Data
}

func readLines(t *testing.T, path string) []line {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []line
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// traffic is what lines say, without what differs from run to run.
type traffic struct {
	Replies map[string][]string // by reply subject
	Events  map[string][]string // by host, in order
	Shared  []string            // events of whichever host the server picked, in order
}

type envelope struct {
	Type   string          `json:"type"`
	Source string          `json:"source"`
	ID     string          `json:"id"`
	Time   time.Time       `json:"time"`
	Data   json.RawMessage `json:"data"`
}

func digest(t *testing.T, lines []line) traffic {
	t.Helper()
	tr := traffic{Replies: map[string][]string{}, Events: map[string][]string{}}
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l.Subject, "_INBOX."):
			tr.Replies[l.Subject] = append(tr.Replies[l.Subject], normal(t, l.Data))
		case strings.HasPrefix(l.Subject, "wasmbus.evt."):
			var e envelope
			if err := json.Unmarshal(l.Data, &e); err != nil {
				t.Fatal(err)
			}
			kind := strings.TrimPrefix(e.Type, "com.wasmcloud.lattice.")
			text := kind + " " + normal(t, e.Data)
			if strings.HasPrefix(kind, "linkdef") || strings.HasPrefix(kind, "config") {
				tr.Shared = append(tr.Shared, text)
			} else {
				tr.Events[e.Source] = append(tr.Events[e.Source], text)
			}
		}
	}
	for _, r := range tr.Replies {
		slices.Sort(r)
	}
	return tr
}

// normal is JSON with sorted keys, without the server's address, and with
// arrays whose order means nothing sorted.
func normal(t *testing.T, data []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			delete(v, "ctl_host")
			delete(v, "rpc_host")
			for k, x := range v {
				walk(x)
				if list, ok := x.([]any); ok && (k == "components" || k == "providers" || k == "response") {
					slices.SortFunc(list, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
				}
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(v)
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// replay does to simulated hosts what was done to the recorded ones, at the
// same times, and returns what came of it.
func replay(t *testing.T, s *natstest.Server, lines []line, cfg simhost.Config) []line {
	t.Helper()
	nc := s.Connect(t)
	begin := time.Now()
	var (
		mu  sync.Mutex
		got []line
	)
	take := func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, line{T: time.Since(begin).Seconds(), Subject: m.Subject, Data: m.Data})
	}
	for _, subject := range []string{"_INBOX.>", "wasmbus.evt.>"} {
		if _, err := nc.Subscribe(subject, take); err != nil {
			t.Fatal(err)
		}
	}
	// Not Flush: its timers are pooled over bubbles.
	synctest.Wait()
	sim, err := simhost.New(s.Connect(t), "default", cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()

	type action struct {
		at float64
		do func() error
	}
	var actions []action
	hosts := map[string]*simhost.Host{}
	firstBeat := map[string]float64{}
	stopping := map[string]bool{}
	for _, l := range lines {
		if strings.HasPrefix(l.Subject, "wasmbus.evt.") {
			var e envelope
			if err := json.Unmarshal(l.Data, &e); err != nil {
				t.Fatal(err)
			}
			var data struct {
				Name   string            `json:"friendly_name"`
				Labels map[string]string `json:"labels"`
				Uptime float64           `json:"uptime_seconds"`
			}
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatal(err)
			}
			switch e.Type {
			case "com.wasmcloud.lattice.host_started":
				id := lattice.HostID(e.Source)
				// The rhythm of heartbeats tells best when a host began.
				at := 0.0
				for _, o := range lines {
					if strings.HasSuffix(o.Subject, "host_heartbeat") && strings.Contains(string(o.Data), `"source":"`+e.Source) {
						firstBeat[e.Source] = o.T
					}
				}
				at = firstBeat[e.Source] - float64(int(firstBeat[e.Source]/5)*5)
				actions = append(actions, action{at, func() error {
					h, err := sim.AddHost(simhost.HostConfig{ID: id, FriendlyName: data.Name, Labels: data.Labels, HeartbeatInterval: 5 * time.Second})
					hosts[e.Source] = h
					return err
				}})
			case "com.wasmcloud.lattice.host_stopped":
				if !stopping[e.Source] {
					actions = append(actions, action{l.T, func() error { return hosts[e.Source].Stop() }})
				}
			}
			continue
		}
		if health, ok := map[string]simhost.Health{"provider process stopped (SIGSTOP)": simhost.Hung, "provider process continued": simhost.Healthy}[string(l.payload())]; ok {
			actions = append(actions, action{l.T, func() error { return sim.Hosts()[0].SetProviderHealth("ext", health) }})
		}
		if strings.HasPrefix(l.Subject, "wasmbus.ctl.") {
			if id, ok := strings.CutPrefix(l.Subject, "wasmbus.ctl.v1.default.host.stop."); ok {
				stopping[id] = true
			}
			actions = append(actions, action{l.T, func() error { return nc.PublishRequest(l.Subject, l.Reply, l.payload()) }})
		}
	}
	slices.SortStableFunc(actions, func(a, b action) int { return cmp.Compare(a.at, b.at) })
	for _, a := range actions {
		time.Sleep(time.Duration(a.at*float64(time.Second)) - time.Since(begin))
		if err := a.do(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
	time.Sleep(time.Second)
	synctest.Wait()
	mu.Lock()
	defer mu.Unlock()
	// A request nobody was there for is answered by the server with an empty body.
	return slices.DeleteFunc(slices.Clone(got), func(l line) bool { return len(l.Data) == 0 })
}

func TestSimulatedHostsDoWhatRecordedHostsDid(t *testing.T) {
	t.Parallel()
	const dir = "file:///components/"
	for _, tc := range []struct {
		recording string
		images    func(time.Duration, string) simhost.Image
	}{
		{"host-commands", func(_ time.Duration, ref string) simhost.Image {
			switch ref {
			case dir + "absent.wasm":
				return simhost.Image{Fetch: 120 * time.Millisecond, FetchError: "failed to read component: No such file or directory (os error 2)"}
			case dir + "absent.par.gz":
				return simhost.Image{FetchError: "failed to read provider: failed to load provider archive: failed to load target [x86_64-linux] from PAR from file [/components/absent.par.gz]: No such file or directory (os error 2)"}
			case dir + "hello1.wasm":
				return simhost.Image{Fetch: 65 * time.Millisecond, Compile: 21 * time.Second}
			}
			return simhost.Image{Compile: 2 * time.Millisecond}
		}},
		{"host-image-update", func(since time.Duration, ref string) simhost.Image {
			switch {
			case !strings.HasSuffix(ref, ".wasm"):
				return simhost.Image{}
			case since > 80*time.Second:
				return simhost.Image{Compile: 18 * time.Second, Mutes: true}
			case since > 70*time.Second:
				return simhost.Image{Fetch: 65 * time.Millisecond, Compile: 17 * time.Second}
			}
			return simhost.Image{Fetch: 65 * time.Millisecond, Compile: 18 * time.Second}
		}},
		{"host-provider", func(time.Duration, string) simhost.Image {
			return simhost.Image{Fetch: 285 * time.Millisecond, Claims: &simhost.Claims{
				Subject: "VDFQZK7A3UC5ZQG6D5BF5S53NH35BINMZOXGGLXZJDTTHEQMEM3E22OE", Issuer: "AAMGOHRD7Q3D6SKBL5CD6WUZZAVTUCNEO7WTO4EFFCUTU55LHKVKQQM4", Name: "http-server", Version: "0.1.0",
			}}
		}},
	} {
		t.Run(tc.recording, func(t *testing.T) {
			t.Parallel()
			lines := readLines(t, "testdata/"+tc.recording+".jsonl")
			natstest.Bubble(t, func(t *testing.T, s *natstest.Server) {
				begin := time.Now()
				got := replay(t, s, lines, simhost.Config{Images: func(ref string) simhost.Image { return tc.images(time.Since(begin), ref) }})
				if diff := gocmp.Diff(digest(t, lines), digest(t, got)); diff != "" {
					t.Errorf("recorded (-), simulated (+):\n%s", diff)
				}
			}, natstest.WithoutJetStream())
		})
	}
}
