package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// logged collects a log that several goroutines write.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// eventually waits for an outcome.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// wait blocks a request until release.
func wait(ctx context.Context, release chan struct{}) error {
	select {
	case <-release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestRequestsOfOneApplicationKeepTheirOrder(t *testing.T) {
	t.Parallel()
	// A slow machine must not decide.
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{RequestTimeout: time.Minute})
	// Everything is sent before the first answer arrives: puts of several
	// applications, each followed by a deploy that needs it.
	const apps, versions = 5, 20
	inbox := s.nc.NewInbox()
	replies, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	for v := range versions {
		for a := range apps {
			name := fmt.Sprint("app", a)
			for _, m := range []struct{ op, body string }{
				{"put", manifestOf(name, fmt.Sprint("v", v))}, {"deploy." + name, fmt.Sprintf(`{"version":"v%d"}`, v)},
			} {
				if err := s.nc.PublishRequest("wadm.api.default.model."+m.op, inbox, []byte(m.body)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for range apps * versions * 2 {
		m, err := replies.NextMsg(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(m.Data), `"error"`) {
			t.Errorf("%s", m.Data)
		}
	}
	for a := range apps {
		var want []api.VersionInfo
		for v := range versions {
			want = append(want, api.VersionInfo{Version: fmt.Sprint("v", v), Deployed: v == versions-1})
		}
		var got struct{ Versions []api.VersionInfo }
		if err := json.Unmarshal([]byte(s.ask(t, fmt.Sprint("wadm.api.default.model.versions.app", a), "")), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Versions); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTwoServersStoreEveryConcurrentPut(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	s := serve(t, n, api.Deps{}, api.Config{})
	serve(t, n, api.Deps{}, api.Config{})
	const puts = 50
	var created, failed int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range puts {
		wg.Go(func() {
			reply := s.ask(t, "wadm.api.default.model.put", manifestOf("shop", fmt.Sprint("v", i)))
			mu.Lock()
			defer mu.Unlock()
			if strings.HasPrefix(reply, `{"result":"created"`) {
				created++
			} else if !strings.HasPrefix(reply, `{"result":"newversion"`) {
				failed++
				t.Log(reply)
			}
		})
	}
	wg.Wait()
	if created != 1 || failed != 0 {
		t.Errorf("%d puts created the application, %d failed", created, failed)
	}
	if got := strings.Count(s.ask(t, "wadm.api.default.model.versions.shop", ""), `"version"`); got != puts {
		t.Errorf("%d of %d versions", got, puts)
	}
}

func TestASlowRequestDelaysOnlyItsOwnApplication(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	deps := api.Deps{Register: func(ctx context.Context, key tenancy.LatticeKey) error {
		if key.Lattice == "slow" {
			return wait(ctx, release)
		}
		return nil
	}}
	s := serve(t, natstest.Start(t), deps, api.Config{Workers: 4})
	inbox := s.nc.NewInbox()
	replies, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := s.nc.PublishRequest("wadm.api.slow.model.put", inbox, []byte(manifestOf("stuck", ""))); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range []string{"wadm.api.other.model.put", "wadm.api.default.model.put"} {
		if got := s.ask(t, subject, manifestOf("shop", "v1")); !strings.HasPrefix(got, `{"result":"created"`) {
			t.Error(got)
		}
	}
	s.want(t, "wadm.api.slow.model.get", "", `{"result":"success","message":"Successfully fetched list of applications","models":[]}`)
	s.want(t, "wadm.api.slow.model.get.else", "", `{"result":"notfound","message":"Application with the name else not found"}`)
	close(release)
	for range 10 {
		if _, err := replies.NextMsg(20 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTooManyWaitingRequestsAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	deps := api.Deps{Register: func(ctx context.Context, _ tenancy.LatticeKey) error { return wait(ctx, release) }}
	s := serve(t, natstest.Start(t), deps, api.Config{Workers: 1, MaxPending: 3})
	inbox := s.nc.NewInbox()
	replies, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	send := func(n int) {
		for range n {
			if err := s.nc.PublishRequest("wadm.api.default.model.put", inbox, []byte(manifestOf("shop", ""))); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(3)
	for range 20 {
		s.want(t, "wadm.api.default.model.get", "",
			`{"message":"Too many requests are waiting, please retry the request","result":"error","models":[]}`)
	}
	close(release)
	for range 3 {
		if m, err := replies.NextMsg(20 * time.Second); err != nil || strings.Contains(string(m.Data), "error") {
			t.Fatal(m, err)
		}
	}
	eventually(t, "room again", func() bool {
		return strings.Contains(s.ask(t, "wadm.api.default.model.get", ""), `"success"`)
	})
}

func TestAPanicTouchesNobodyElse(t *testing.T) {
	t.Parallel()
	var log logged
	deps := api.Deps{
		Logger: log.logger(),
		Register: func(_ context.Context, key tenancy.LatticeKey) error {
			if key.Lattice == "bad" {
				panic("boom")
			}
			return nil
		},
		Identify: func(h nats.Header) string {
			if h.Get("x") != "" {
				panic("boom")
			}
			return ""
		},
	}
	s := serve(t, natstest.Start(t), deps, api.Config{Workers: 2})
	const broken = `{"message":"Internal error, the request was not completed","result":"error"}`
	for range 5 {
		s.want(t, "wadm.api.bad.model.put", manifestOf("shop", "v1"), broken)
		m := s.request(t, &nats.Msg{Subject: "wadm.api.good.model.deploy.shop", Header: nats.Header{"x": []string{"y"}}})
		if string(m.Data) != broken {
			t.Errorf("%s", m.Data)
		}
	}
	if got := s.ask(t, "wadm.api.good.model.put", manifestOf("shop", "v1")); !strings.HasPrefix(got, `{"result":"created"`) {
		t.Error(got)
	}
	if text := log.String(); !strings.Contains(text, "payload_sha256") || !strings.Contains(text, "boom") {
		t.Errorf("the log does not tell what happened: %s", text)
	}
}

func TestAnswersGoToInboxesOnly(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	hostile := "wasmbus.ctl.v1.default.host.stop.NABC"
	heard, err := s.nc.SubscribeSync(hostile)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.nc.PublishRequest("wadm.api.default.model.put", hostile, []byte(manifestOf("shop", "v1"))); err != nil {
		t.Fatal(err)
	}
	// A later request of the same connection is answered, so the first one was seen.
	s.want(t, "wadm.api.default.model.list", "", `[]`)
	if m, err := heard.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("the service published %s on %s", m.Data, hostile)
	}
	// No reply subject at all is fine.
	if err := s.nc.Publish("wadm.api.default.model.put", []byte(manifestOf("shop", "v1"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the put without reply", func() bool {
		return strings.Contains(s.ask(t, "wadm.api.default.model.list", ""), `"shop"`)
	})
}

func TestNamesThatCannotExistAreAnsweredWithoutTouchingAKey(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	const storage = `{"message":"Internal storage error","result":"error"}`
	long := strings.Repeat("a", 200)
	for subject, want := range map[string]string{
		"wadm.api.default.model.get.ünï":      storage,
		"wadm.api.default.model.versions.a$b": `{"message":"Internal storage error","result":"error","versions":[]}`,
		"wadm.api.default.model.deploy.a$b":   storage,
		"wadm.api.default.model.undeploy.a$b": storage,
		"wadm.api.default.model.del.a$b":      `{"result":"error","message":"Internal storage error while fetching manifest data for application a$b","undeploy":false}`,
		"wadm.api.default.model.status.a$b":   `{"result":"ok","message":"Successfully fetched status for application a$b","status":{"status":{"type":"undeployed"},"version":"","components":[]}}`,
		"wadm.api.a$b.model.get":              `{"message":"Internal storage error","result":"error","models":[]}`,
		"wadm.api.a$b.model.list":             storage,
		"wadm.api.a$b.model.status.x":         `{"result":"ok","message":"Successfully fetched status for application x","status":{"status":{"type":"undeployed"},"version":"","components":[]}}`,
		// Another server could hold these, so they are just not there.
		"wadm.api.default.model.get." + long: `{"result":"notfound","message":"Application with the name ` + long + ` not found"}`,
		"wadm.api.default.model.del.a=b":     `{"result":"noop","message":"Application a=b doesn't exist or was already deleted","undeploy":false}`,
		"wadm.api._x.model.get":              `{"result":"success","message":"Successfully fetched list of applications","models":[]}`,
		"wadm.api._x.model.list":             `[]`,
		"wadm.api._x.model.deploy.a":         `{"result":"notfound","message":"Application with the name a not found","name":"a","version":null}`,
	} {
		s.want(t, subject, "", want)
	}
	s.want(t, "wadm.api._x.model.put", manifestOf("shop", "v1"),
		`{"message":"lattice \"_x\": name not allowed: 1 to 128 ASCII letters, digits, '-', '_', the first a letter or digit","result":"error"}`)
}

func TestTenantsWithOneLatticeNameNeverMeet(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var registered []string
	deps := api.Deps{Register: func(_ context.Context, key tenancy.LatticeKey) error {
		mu.Lock()
		defer mu.Unlock()
		registered = append(registered, key.String())
		return nil
	}}
	s := serve(t, natstest.Start(t), deps, api.Config{Multitenant: true})
	events, err := s.nc.SubscribeSync("*.wadm.evt.>")
	if err != nil {
		t.Fatal(err)
	}
	s.ask(t, "acme.wadm.api.prod.model.put", manifestOf("shop", "v1"))
	s.want(t, "beta.wadm.api.prod.model.deploy.shop", "", `{"result":"notfound","message":"Application with the name shop not found","name":"shop","version":null}`)
	s.want(t, "beta.wadm.api.prod.model.del.shop", "", `{"result":"noop","message":"Application shop doesn't exist or was already deleted","undeploy":false}`)
	s.want(t, "beta.wadm.api.prod.model.list", "", `[]`)
	s.want(t, "acme.wadm.api.prod.model.deploy.shop", "", `{"result":"acknowledged","message":"Successfully deployed application shop v1","name":"shop","version":"v1"}`)
	if _, err := s.js.Publish(t.Context(), "acme.wadm.status.prod.shop", []byte(`{"status":{"type":"deployed"}}`)); err != nil {
		t.Fatal(err)
	}
	if got := s.ask(t, "acme.wadm.api.prod.model.status.shop", ""); !strings.Contains(got, `"deployed"`) {
		t.Error(got)
	}
	if got := s.ask(t, "beta.wadm.api.prod.model.status.shop", ""); strings.Contains(got, `"deployed"`) {
		t.Error(got)
	}
	var subjects []string
	// The first is only heard: nothing of that tenant was ever stored.
	for range 2 {
		m, err := events.NextMsg(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		subjects = append(subjects, m.Subject)
	}
	if diff := cmp.Diff([]string{"beta.wadm.evt.prod.manifest_unpublished", "acme.wadm.evt.prod.manifest_published"}, subjects); diff != "" {
		t.Error(diff)
	}
	s.want(t, "a$b.wadm.api.prod.model.get.shop", "", `{"message":"Internal storage error","result":"error"}`)
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"acme/prod", "acme/prod"}, registered); diff != "" {
		t.Error(diff)
	}
}

func TestLargeHistoriesAndManifestsAreServed(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{MaxManifest: 100 << 10})
	big := func(version string, size int) string {
		return strings.Replace(manifestOf("big", version), `"annotations":{`, `"annotations":{"pad":"`+strings.Repeat("x", size)+`",`, 1)
	}
	for i := range 200 {
		if got := s.ask(t, "wadm.api.default.model.put", big(fmt.Sprint("v", i), 20<<10)); strings.Contains(got, "error") {
			t.Fatal(got)
		}
	}
	if got := s.ask(t, "wadm.api.default.model.get.big", `{"version":"v3"}`); len(got) < 20<<10 {
		t.Error(got)
	}
	got := s.ask(t, "wadm.api.default.model.put", big("huge", 200<<10))
	if !strings.HasPrefix(got, `{"message":"Unable to parse manifest: it takes `) {
		t.Error(got)
	}
}

// TestAnUndeployTakesAnyObject: it has no fields, so none of them can be wrong.
func TestAnUndeployTakesAnyObject(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	s.ask(t, "wadm.api.default.model.put", manifestOf("shop", "v1"))
	const undeploy = "wadm.api.default.model.undeploy.shop"
	for _, body := range []string{``, `{}`, `{"version":1}`, `{"version":["v1"]}`, `{"version":"v1","version":"v2"}`, `{"non_destructive":true}`} {
		s.want(t, undeploy, body, `{"result":"acknowledged","message":"Application shop was already undeployed","name":"shop","version":null}`)
	}
	for body, detail := range map[string]string{
		`null`:          `Error(\"invalid type: null, expected struct UndeployModelRequest\", line: 1, column: 4)`,
		`{"version":x}`: `Error(\"expected value\", line: 1, column: 12)`,
		`{} {}`:         `Error(\"trailing characters\", line: 1, column: 4)`,
	} {
		s.want(t, undeploy, body, `{"message":"Unable to parse undeploy application request: `+detail+`","result":"error"}`)
	}
}

func TestOnlyAManifestMayBeLarge(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	s.ask(t, "wadm.api.default.model.put", manifestOf("shop", "v1"))
	most := `{"version":"v1"}` + strings.Repeat(" ", 64<<10-16)
	s.want(t, "wadm.api.default.model.deploy.shop", most, `{"result":"acknowledged","message":"Successfully deployed application shop v1","name":"shop","version":"v1"}`)
	const refusal = `{"message":"The request takes 65537 bytes, the most is 65536","result":"error"`
	for operation, rest := range map[string]string{
		"get": `,"models":[]}`, "get.shop": `}`, "list": `}`, "versions.shop": `,"versions":[]}`, "deploy.shop": `}`, "undeploy.shop": `}`,
		"del.shop": `}`, "status.shop": `}`, "history.shop": `}`, "explain.shop": `}`,
	} {
		s.want(t, "wadm.api.default.model."+operation, most+" ", refusal+rest)
	}
}

func TestAnUnreadableRecordIsReportedAndBlocksNobody(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	s.ask(t, "wadm.api.default.model.put", manifestOf("good", "v1"))
	kv, err := s.js.KeyValue(t.Context(), "wadm_catalog")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "default.default.bad", "{"); err != nil {
		t.Fatal(err)
	}
	const storage = `{"message":"Internal storage error","result":"error"}`
	s.want(t, "wadm.api.default.model.get.bad", "", storage)
	s.want(t, "wadm.api.default.model.versions.bad", "", `{"message":"Internal storage error","result":"error","versions":[]}`)
	s.want(t, "wadm.api.default.model.put", manifestOf("bad", "v1"), storage)
	s.want(t, "wadm.api.default.model.deploy.bad", "", storage)
	s.want(t, "wadm.api.default.model.undeploy.bad", "", storage)
	s.want(t, "wadm.api.default.model.del.bad", "", `{"result":"error","message":"Internal storage error while fetching manifest data for application bad","undeploy":false}`)
	if got := s.ask(t, "wadm.api.default.model.list", ""); !strings.Contains(got, `"good"`) || strings.Contains(got, `"bad"`) {
		t.Error(got)
	}
	s.want(t, "wadm.api.default.model.deploy.good", "", `{"result":"acknowledged","message":"Successfully deployed application good v1","name":"good","version":"v1"}`)
}

func TestStoppingFinishesTheRequestsItHas(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	began, release := make(chan struct{}), make(chan struct{})
	nc := n.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	helper := serve(t, n, api.Deps{}, api.Config{Prefix: "other.api"})
	s, err := api.New(nc, helper.cat, api.Deps{JetStream: js, Register: func(ctx context.Context, _ tenancy.LatticeKey) error {
		close(began)
		return wait(ctx, release)
	}}, api.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	reply := make(chan string, 1)
	go func() { reply <- helper.ask(t, "wadm.api.default.model.put", manifestOf("shop", "v1")) }()
	<-began
	stop()
	close(release)
	if got := <-reply; !strings.HasPrefix(got, `{"result":"created"`) {
		t.Error(got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := helper.nc.Request("wadm.api.default.model.list", nil, 5*time.Second); err == nil {
		t.Error("a stopped server answers")
	}
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	for _, cfg := range []api.Config{
		{Prefix: " . "}, {Prefix: "a.*.b"}, {Workers: -1}, {MaxPending: -1}, {RequestTimeout: -1}, {Streams: api.Streams{Replicas: 9}},
	} {
		if _, err := api.New(s.nc, s.cat, api.Deps{JetStream: s.js}, cfg); err == nil {
			t.Errorf("accepted: %+v", cfg)
		}
	}
	if _, err := api.New(s.nc, nil, api.Deps{JetStream: s.js}, api.Config{}); err == nil {
		t.Error("accepted without a catalog")
	}
}
