package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"wadm/config/natsconn/natstest"
	"wadm/telemetry"
	"wadm/tenancy"
	"wadm/tenancy/api"
	"wadm/tenancy/catalog"
)

const (
	asked = "wadm.api.default.model."
	acked = `{"result":"acknowledged","message":"Successfully deployed application shop v1","name":"shop","version":"v1"}`
)

// events lists the manifest events as "type name-or-version", in order.
func (s *served) events(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, e := range s.rawEvents(t) {
		var v struct {
			Type string
			Data struct {
				Name     string
				Metadata struct {
					Name        string
					Annotations map[string]string
				}
			}
		}
		if err := json.Unmarshal(e.Data(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimPrefix(v.Type, "com.wadm.manifest_")+" "+v.Data.Name+v.Data.Metadata.Name+v.Data.Metadata.Annotations["version"])
	}
	return out
}

func (s *served) rawEvents(t *testing.T) []jetstream.Msg {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), "wadm_events")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var out []jetstream.Msg
	for range info.State.Msgs {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func TestEventsAreThoseOfTheRecordedServer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 10, 38, 11, 830335873, time.UTC)
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{Now: func() time.Time { return now }})
	s.ask(t, asked+"put", manifestOf("shop", "v1"))
	s.want(t, asked+"deploy.shop", "", acked)
	s.ask(t, asked+"undeploy.shop", "")
	all := s.rawEvents(t)
	if len(all) != 2 {
		t.Fatalf("%d events", len(all))
	}
	id := regexp.MustCompile(`"id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`)
	for i, want := range []struct{ subject, body string }{
		{"wadm.evt.default.manifest_published", `{"specversion":"1.0","id":"-","type":"com.wadm.manifest_published","source":"wadm","datacontenttype":"application/json","time":"2026-11-24T10:38:11.830335873Z","data":{"apiVersion":"core.oam.dev/v1beta1","kind":"Application","metadata":{"annotations":{"version":"v1"},"name":"shop"},"spec":{"components":[{"name":"c","properties":{"image":"registry.example.com/c:1"},"type":"component"}]}}}`},
		{"wadm.evt.default.manifest_unpublished", `{"specversion":"1.0","id":"-","type":"com.wadm.manifest_unpublished","source":"wadm","datacontenttype":"application/json","time":"2026-11-24T10:38:11.830335873Z","data":{"name":"shop"}}`},
	} {
		if got := string(id.ReplaceAll(all[i].Data(), []byte(`"id":"-"`))); got != want.body || all[i].Subject() != want.subject {
			t.Errorf("on %s\n got %s\nwant %s", all[i].Subject(), got, want.body)
		}
		if len(all[i].Headers()) != 0 {
			t.Errorf("headers without a trace: %v", all[i].Headers())
		}
	}
}

func TestEventsAreSentWhenNothingIsDeployedAfterwards(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	var want []string
	step := func(op, body string, events ...string) {
		t.Helper()
		s.ask(t, asked+op, body)
		want = append(want, events...)
		if diff := cmp.Diff(want, s.events(t)); diff != "" {
			t.Fatalf("after %s %s: %s", op, body, diff)
		}
	}
	step("put", manifestOf("shop", "v1"))
	step("put", manifestOf("shop", "v2"))
	step("deploy.shop", `{"version":"v9"}`)
	step("deploy.shop", `{"version":"v1"}`, "published shopv1")
	step("deploy.shop", `{"version":"v1"}`, "published shopv1")
	// D3: a version that is not there says nothing about the one that runs.
	step("del.shop", `{"version":"v9"}`)
	step("del.shop", `{"version":"v2"}`)
	step("undeploy.shop", "", "unpublished shop")
	step("undeploy.shop", "", "unpublished shop")
	step("del.shop", `{"version":"v9"}`, "unpublished shop")
	step("deploy.shop", "", "published shopv1")
	step("del.shop", `{"version":"v1"}`, "unpublished shop")
	step("del.shop", "", "unpublished shop")
	step("undeploy.shop", "")
}

// refusing is a JetStream whose buckets refuse conditional writes while on.
type refusing struct {
	jetstream.JetStream
	on *bool
}

type refusingKV struct {
	jetstream.KeyValue
	on *bool
}

func (r refusing) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := r.JetStream.KeyValue(ctx, bucket)
	return refusingKV{kv, r.on}, err
}

var errRefused = &jetstream.APIError{Code: 400, ErrorCode: 10000, Description: "refused for the test"}

func (r refusingKV) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if *r.on {
		return 0, errRefused
	}
	return r.KeyValue.Update(ctx, key, value, revision)
}

func (r refusingKV) Purge(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error {
	if *r.on {
		return errRefused
	}
	return r.KeyValue.Purge(ctx, key, opts...)
}

func TestWhatIsNotStoredIsNotAnnounced(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	s := serve(t, n, api.Deps{}, api.Config{Prefix: "other.api"})
	on := false
	cat, err := catalog.New(t.Context(), refusing{s.js, &on}, catalog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := api.New(n.Connect(t), cat, api.Deps{JetStream: s.js}, api.Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	runUntilEnd(t, server.Run)
	<-server.Ready()
	s.ask(t, asked+"put", manifestOf("shop", "v1"))
	s.ask(t, asked+"put", manifestOf("shop", "v2"))
	s.ask(t, asked+"deploy.shop", `{"version":"v1"}`)
	before := s.events(t)
	on = true
	s.want(t, asked+"put", manifestOf("shop", "v3"), `{"message":"Internal storage error","result":"error"}`)
	s.want(t, asked+"deploy.shop", "", `{"result":"error","message":"Internal storage error","name":"shop","version":"v2"}`)
	s.want(t, asked+"undeploy.shop", "", `{"result":"error","message":"Internal storage error","name":"shop","version":null}`)
	s.want(t, asked+"del.shop", "", `{"result":"error","message":"Internal storage error when deleting application shop","undeploy":false}`)
	s.want(t, asked+"del.shop", `{"version":"v2"}`, `{"result":"error","message":"Internal storage error when deleting v2 of application shop","undeploy":false}`)
	if diff := cmp.Diff(before, s.events(t)); diff != "" {
		t.Error(diff)
	}
	on = false
	s.want(t, asked+"versions.shop", "", `{"result":"success","message":"Successfully fetched versions for application shop","versions":[{"version":"v1","deployed":true},{"version":"v2","deployed":false}]}`)
}

func TestALatticeIsRegisteredBeforeAnythingIsStored(t *testing.T) {
	t.Parallel()
	deps := api.Deps{Register: func(context.Context, tenancy.LatticeKey) error { return errors.New("no registry") }}
	s := serve(t, natstest.Start(t), deps, api.Config{})
	s.want(t, asked+"put", manifestOf("shop", "v1"), `{"message":"Internal storage error","result":"error"}`)
	s.want(t, asked+"list", "", `[]`)
}

func TestSharedComponentsAreThoseOfTheDeployedVersion(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	base := func(version, shared, component, kind string) string {
		return fmt.Sprintf(`{"apiVersion":"x","kind":"y","metadata":{"name":"base","annotations":{"version":%q,"experimental.wasmcloud.dev/shared":%q}},"spec":{"components":[{"name":%q,"type":%q,"properties":{"image":"r/b:1"}}]}}`, version, shared, component, kind)
	}
	user := `{"apiVersion":"x","kind":"y","metadata":{"name":"user","annotations":{"version":"v1"}},"spec":{"components":[{"name":"mine","type":"component","properties":{"application":{"name":"base","component":"c"}}}]}}`
	const no = `{"message":"Application contains shared components that are not deployed in other applications: [\"mine\"]","result":"error"}`
	deployBase := func(version string) {
		t.Helper()
		s.ask(t, asked+"deploy.base", fmt.Sprintf(`{"version":%q}`, version))
	}
	s.ask(t, asked+"put", base("good", "true", "c", "component"))
	if got := s.ask(t, asked+"put", user); !strings.Contains(got, `"message":"Successfully put manifest user v1, but some shared components are not deployed: [\"mine\"]"`) {
		t.Error(got)
	}
	s.want(t, asked+"deploy.user", "", no)
	for version, body := range map[string]string{
		"private": base("private", "false", "c", "component"), "other": base("other", "true", "d", "component"), "type": base("type", "true", "c", "capability"),
	} {
		s.ask(t, asked+"put", body)
		deployBase(version)
		s.want(t, asked+"deploy.user", "", no)
	}
	// D7, D-87: the last put version would not do, the deployed one does.
	deployBase("good")
	s.want(t, asked+"deploy.user", "", `{"result":"acknowledged","message":"Successfully deployed application user v1","name":"user","version":"v1"}`)
}

func TestAnExplicitIDIsDeployedOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	for _, name := range []string{"one", "two"} {
		s.ask(t, asked+"put", strings.Replace(manifestOf(name, "v1"), `"properties":{`, `"properties":{"id":"same",`, 1))
	}
	s.ask(t, asked+"deploy.one", "")
	s.ask(t, asked+"deploy.one", "")
	s.want(t, asked+"deploy.two", "", `{"message":"Component identifier 'same' is already deployed in a different application 'one'.","result":"error"}`)
	s.ask(t, asked+"undeploy.one", "")
	s.want(t, asked+"deploy.two", "", `{"result":"acknowledged","message":"Successfully deployed application two v1","name":"two","version":"v1"}`)
}

// gated is a JetStream whose conditional writes wait at a gate, when there is one.
type gated struct {
	jetstream.JetStream
	gate *atomic.Pointer[gate]
}

type gatedKV struct {
	jetstream.KeyValue
	gate *atomic.Pointer[gate]
}

// gate holds one write until open is closed; reached is closed when it waits.
type gate struct{ reached, open chan struct{} }

func (g gated) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := g.JetStream.KeyValue(ctx, bucket)
	return gatedKV{kv, g.gate}, err
}

func (g gatedKV) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if held := g.gate.Swap(nil); held != nil {
		close(held.reached)
		select {
		case <-held.open:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return g.KeyValue.Update(ctx, key, value, revision)
}

// TestAnExplicitIDIsDeployedOnceByTwoServers lets both servers find an id free
// before either has stored that it is taken.
func TestAnExplicitIDIsDeployedOnceByTwoServers(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	s := serve(t, n, api.Deps{}, api.Config{})
	// server starts one more and returns what holds its next write.
	server := func(prefix string) *atomic.Pointer[gate] {
		held := new(atomic.Pointer[gate])
		cat, err := catalog.New(t.Context(), gated{s.js, held}, catalog.Config{})
		if err != nil {
			t.Fatal(err)
		}
		server, err := api.New(n.Connect(t), cat, api.Deps{JetStream: s.js}, api.Config{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		runUntilEnd(t, cat.Run)
		runUntilEnd(t, server.Run)
		<-server.Ready()
		return held
	}
	first, second := server("first.api"), server("second.api")
	for _, version := range []string{"v1", "v2"} {
		for _, name := range []string{"one", "two"} {
			body := manifestOf(name, version)
			if version == "v2" {
				body = strings.Replace(body, `"properties":{`, `"properties":{"id":"same",`, 1)
			}
			s.ask(t, asked+"put", body)
		}
	}
	const (
		taken = `{"message":"Component identifier 'same' is already deployed in a different application '%s'.","result":"error"}`
		done  = `{"result":"acknowledged","message":"Successfully deployed application %s v2","name":"%[1]s","version":"v2"}`
	)
	deploy := func(prefix, app string) <-chan string {
		reply := make(chan string, 1)
		go func() {
			m, err := s.nc.Request(prefix+".default.model.deploy."+app, nil, 20*time.Second)
			if err != nil {
				reply <- err.Error()
				return
			}
			reply <- string(m.Data)
		}()
		return reply
	}
	hold := func(at *atomic.Pointer[gate]) *gate {
		g := &gate{make(chan struct{}), make(chan struct{})}
		at.Store(g)
		return g
	}
	deployed := func() (versions [2]string) {
		t.Helper()
		list, err := s.cat.List(t.Context(), tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: "default"})
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range list {
			if a.Deployed != nil {
				versions[i] = *a.Deployed
			}
		}
		return versions
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", what, got, want)
		}
	}

	// One is stored and answered while the other, which found the id free, waits:
	// the later write gives way, to what was deployed before it.
	s.ask(t, asked+"deploy.two", `{"version":"v1"}`)
	before := len(s.events(t))
	held := hold(second)
	two := deploy("second.api", "two")
	<-held.reached
	want("the first", <-deploy("first.api", "one"), fmt.Sprintf(done, "one"))
	close(held.open)
	want("the second", <-two, fmt.Sprintf(taken, "one"))
	if diff := cmp.Diff([2]string{"v2", "v1"}, deployed()); diff != "" {
		t.Errorf("deployed: %s", diff)
	}
	if diff := cmp.Diff([]string{"published onev2"}, s.events(t)[before:]); diff != "" {
		t.Errorf("announced: %s", diff)
	}

	// Both wait. Then one of them may win, never both.
	s.ask(t, asked+"undeploy.one", "")
	s.ask(t, asked+"undeploy.two", "")
	a, b := hold(first), hold(second)
	one, two := deploy("first.api", "one"), deploy("second.api", "two")
	<-a.reached
	<-b.reached
	close(a.open)
	close(b.open)
	expected := [2]string{}
	for i, reply := range []string{<-one, <-two} {
		name, other := "one", "two"
		if i == 1 {
			name, other = other, name
		}
		switch reply {
		case fmt.Sprintf(done, name):
			expected[i] = "v2"
		case fmt.Sprintf(taken, other):
		default:
			t.Errorf("%s: %s", name, reply)
		}
	}
	if expected == [2]string{"v2", "v2"} {
		t.Error("both were deployed")
	}
	if diff := cmp.Diff(expected, deployed()); diff != "" {
		t.Errorf("deployed: %s", diff)
	}
}

func TestStatusesBelongToTheApplicationThatExists(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	publish := func(body string) {
		t.Helper()
		if _, err := s.js.Publish(t.Context(), "wadm.status.default.shop", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	status := func(want string) {
		t.Helper()
		s.want(t, asked+"status.shop", "", `{"result":"ok","message":"Successfully fetched status for application shop","status":`+want+`}`)
	}
	const none = `{"status":{"type":"undeployed"},"version":"","components":[]}`
	s.ask(t, asked+"put", manifestOf("shop", "v1"))
	status(none)
	for in, want := range map[string]string{
		`{"status":{"type":"deployed"},"scalers":[{"id":"a","kind":"LinkScaler","name":"b -(c)-> <d>","status":{"type":"failed","message":"m"}}],"version":"","components":[]}`: `{"status":{"type":"deployed"},"scalers":[{"id":"a","kind":"LinkScaler","name":"b -(c)-> <d>","status":{"type":"failed","message":"m"}}],"version":"","components":[]}`,
		`{"status":{"type":"compensating"}}`: `{"status":{"type":"reconciling"},"version":"","components":[]}`,
		`{"status":{"type":"ready"}}`:        `{"status":{"type":"deployed"},"version":"","components":[]}`,
		`{"status":{"type":"unheard"}}`:      none,
		`{`:                                  none,
	} {
		publish(in)
		status(want)
	}
	publish(`{"status":{"type":"waiting","message":"w"}}`)
	if got := s.ask(t, asked+"list", ""); !strings.HasSuffix(got, `"detailed_status":{"status":{"type":"waiting","message":"w"},"version":"","components":[]},"status":"undeployed","status_message":"w"}]`) {
		t.Error(got)
	}
	// D17, D-85: neither after the delete nor for the next one of that name.
	s.ask(t, asked+"del.shop", "")
	status(none)
	publish(`{"status":{"type":"undeployed","message":"Manifest has been undeployed"}}`)
	s.ask(t, asked+"put", manifestOf("shop", "v1"))
	if got := s.ask(t, asked+"list", ""); !strings.Contains(got, "Waiting for status: Lattice contains no hosts, deployment not started.") {
		t.Error(got)
	}
}

func TestStreamsAreMadeUsedAndMadeAgain(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	js := n.JetStream(t)
	// What somebody else made, without our subjects.
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "wadm_status", Subjects: []string{"x.status"}, MaxMsgsPerSubject: 3}); err != nil {
		t.Fatal(err)
	}
	var log logged
	s := serve(t, n, api.Deps{Logger: log.logger()}, api.Config{})
	if text := log.String(); !strings.Contains(text, "max messages per subject is 3 instead of 10") {
		t.Errorf("the log does not tell the difference: %s", text)
	}
	stream, err := js.Stream(t.Context(), "wadm_status")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"x.status", "wadm.status.*.*"}, stream.CachedInfo().Config.Subjects); diff != "" {
		t.Error(diff)
	}
	stream, err = js.Stream(t.Context(), "wadm_events")
	if err != nil {
		t.Fatal(err)
	}
	c := stream.CachedInfo().Config
	if c.MaxAge != 70*time.Second || c.Duplicates != 70*time.Second || c.Retention != jetstream.LimitsPolicy || c.MaxBytes != -1 || c.Storage != jetstream.FileStorage {
		t.Errorf("%+v", c)
	}
	s.ask(t, asked+"put", manifestOf("shop", "v1"))
	if err := js.DeleteStream(t.Context(), "wadm_events"); err != nil {
		t.Fatal(err)
	}
	s.want(t, asked+"deploy.shop", "", acked)
	if diff := cmp.Diff([]string{"published shopv1"}, s.events(t)); diff != "" {
		t.Error(diff)
	}
}

func TestTheTraceGoesFromTheRequestToEventAndReply(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	s := serve(t, natstest.Start(t), api.Deps{Tracer: provider}, api.Config{})
	const trace = "0af7651916cd43dd8448eb211c80319c"
	header := nats.Header{"traceparent": []string{"00-" + trace + "-b7ad6b7169203331-01"}, "tracestate": []string{"a=b"}, "Nats-Msg-Id": []string{"x"}}
	s.request(t, &nats.Msg{Subject: asked + "put", Data: []byte(manifestOf("shop", "v1")), Header: header})
	reply := s.request(t, &nats.Msg{Subject: asked + "deploy.shop", Header: header})
	event := s.rawEvents(t)[0]
	for name, h := range map[string]nats.Header{"reply": reply.Header, "event": event.Headers()} {
		if got := h["traceparent"]; len(got) != 1 || !strings.HasPrefix(got[0], "00-"+trace+"-") {
			t.Errorf("%s: %v", name, h)
		}
		if len(h) != 2 {
			t.Errorf("%s carries more than the trace: %v", name, h)
		}
	}
	var put, deploy bool
	eventually(t, "the spans", func() bool { return len(spans.GetSpans()) >= 2 })
	for _, span := range spans.GetSpans() {
		if span.SpanContext.TraceID().String() != trace {
			continue
		}
		named := attribute.NewSet(span.Attributes...)
		v, _ := named.Value(telemetry.AttrApplication)
		put = put || span.Name == "api model.put" && v.AsString() == "shop"
		deploy = deploy || span.Name == "api model.deploy" && v.AsString() == "shop"
	}
	if !put || !deploy {
		t.Errorf("spans: %+v", spans.GetSpans())
	}
}

func TestServingSurvivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	s.ask(t, asked+"put", manifestOf("shop", "v1"))
	s.nats.Restart(t)
	eventually(t, "a deploy after the restart", func() bool {
		m, err := s.nc.Request(asked+"deploy.shop", nil, time.Second)
		return err == nil && string(m.Data) == acked
	})
	if got := s.ask(t, asked+"list", ""); !strings.Contains(got, `"deployed_version":"v1"`) {
		t.Error(got)
	}
}

// Whoever gets no answer, or one that nothing is known, asks again: what is stored is
// not stored twice and not lost, and what is announced late is announced at all.
func TestARequestWithoutAnswerIsMadeAgain(t *testing.T) {
	t.Parallel()
	const head, body = "$KV.wadm_catalog.default.default.shop ", "$KV.wadm_catalog.default.default.shop."
	v1, v2 := "v1", "v2"
	put := func(version string) func(context.Context, *api.Client) error {
		return func(ctx context.Context, c *api.Client) error {
			_, err := c.Put(ctx, []byte(manifestOf("shop", version)), "")
			return err
		}
	}
	deploy := func(ctx context.Context, c *api.Client) error { _, err := c.Deploy(ctx, "shop", &v1); return err }
	undeploy := func(ctx context.Context, c *api.Client) error { return c.Undeploy(ctx, "shop") }
	remove := func(version *string) func(context.Context, *api.Client) error {
		return func(ctx context.Context, c *api.Client) error { _, err := c.Delete(ctx, "shop", version); return err }
	}
	type steps = []func(context.Context, *api.Client) error
	for name, op := range map[string]struct {
		before steps
		do     func(context.Context, *api.Client) error
		// at is in the write to which the storage does not answer.
		at string
		// without are the versions before, with those when it is stored, the deployed one marked.
		without, with string
		// again is the answer to a repetition of what is stored.
		again error
		// event is what it announces.
		event string
	}{
		"put":                  {steps{}, put(v1), head, "", "v1", api.ErrExists, ""},
		"put of a next one":    {steps{put(v1), deploy}, put(v2), head, "v1*", "v1* v2", api.ErrExists, ""},
		"body of a put":        {steps{put(v1)}, put(v2), body, "v1", "v1 v2", api.ErrExists, ""},
		"deploy":               {steps{put(v1)}, deploy, head, "v1", "v1*", nil, "published shopv1"},
		"undeploy":             {steps{put(v1), deploy}, undeploy, head, "v1*", "v1", nil, "unpublished shop"},
		"removal of a version": {steps{put(v1), put(v2), deploy}, remove(&v2), head, "v1* v2", "v1*", nil, ""},
		"removal":              {steps{put(v1), deploy}, remove(nil), head, "v1*", "", nil, "unpublished shop"},
	} {
		for mode, stored := range map[natstest.WireMode]bool{natstest.Losing: false, natstest.Holding: true} {
			for _, by := range []string{"storage", "server"} {
				if by == "server" && op.at == body {
					continue // that would be "put of a next one"
				}
				t.Run(name+" without answer of the "+by+map[bool]string{true: ", stored", false: ", not stored"}[stored], func(t *testing.T) {
					t.Parallel()
					n := natstest.Start(t)
					s := serve(t, n, api.Deps{}, api.Config{Prefix: "other.api"})
					sees := client(t, n.Connect(t), api.ClientConfig{Prefix: "other.api"})
					storage, storageWire := n.Faulty(t)
					js, err := jetstream.New(storage)
					if err != nil {
						t.Fatal(err)
					}
					cat, err := catalog.New(t.Context(), js, catalog.Config{})
					if err != nil {
						t.Fatal(err)
					}
					server, err := api.New(n.Connect(t), cat, api.Deps{JetStream: s.js}, api.Config{RequestTimeout: time.Second})
					if err != nil {
						t.Fatal(err)
					}
					runUntilEnd(t, server.Run)
					await(t, "ready", server.Ready())
					asks, serverWire := n.Faulty(t)
					c := client(t, asks, api.ClientConfig{})
					for _, step := range append(steps{func(ctx context.Context, c *api.Client) error { _, err := c.List(ctx); return err }}, op.before...) {
						if err := step(t.Context(), c); err != nil {
							t.Fatal(err)
						}
					}
					want := s.events(t)
					versions := func() string {
						all, err := sees.Versions(t.Context(), "shop")
						if err != nil && !errors.Is(err, api.ErrNotFound) {
							t.Fatal(err)
						}
						var out []string
						for _, v := range all {
							out = append(out, v.Version+map[bool]string{true: "*"}[v.Deployed])
						}
						return strings.Join(out, " ")
					}

					wire, at, unanswered := storageWire, op.at, api.ErrServer
					if by == "server" {
						wire, at, unanswered = serverWire, asked, api.ErrTimeout
					}
					ctx, cancel := context.WithTimeout(t.Context(), map[string]time.Duration{"storage": 20 * time.Second, "server": 500 * time.Millisecond}[by])
					defer cancel()
					wire.SetAt(mode, at)
					err = op.do(ctx, c)
					wire.Set(natstest.Passing)
					if !errors.Is(err, unanswered) {
						t.Errorf("without answer: %v, want %v", err, unanswered)
					}
					done, then := stored && op.at != body, op.without
					if done {
						then = op.with
					}
					if done && by == "server" && op.event != "" {
						want = append(want, op.event)
					}
					// The server may be slower than who asks is patient.
					eventually(t, fmt.Sprintf("versions %q and events %q", then, want), func() bool {
						return versions() == then && cmp.Equal(want, s.events(t))
					})

					if err := op.do(t.Context(), c); done && !errors.Is(err, op.again) || !done && err != nil {
						t.Errorf("again: %v", err)
					}
					if got := versions(); got != op.with {
						t.Errorf("after that the versions are %q, want %q", got, op.with)
					}
					if op.event != "" {
						want = append(want, op.event)
					}
					if diff := cmp.Diff(want, s.events(t)); diff != "" {
						t.Errorf("announced in the end: %s", diff)
					}
					if op.with != "" {
						if _, err := sees.Get(t.Context(), "shop", nil); err != nil {
							t.Errorf("what is stored is not whole: %v", err)
						}
					}
				})
			}
		}
	}
}
