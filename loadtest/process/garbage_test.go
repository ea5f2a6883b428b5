package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/loadtest/simhost"
	"wadm/tenancy"
)

const maxPayload = 1 << 20

// event writes a CloudEvent as a host would, with whatever it is given.
func event(kind, source, data string) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":"01900000-0000-7000-8000-000000000000","type":"com.wasmcloud.lattice.%s","source":%q,"datacontenttype":"application/json","time":%q,"data":%s}`,
		kind, source, time.Now().UTC().Format(time.RFC3339Nano), data)
}

const someHost = "NAGPM6YL526OIDXVD33G3L4VUC52MNOEHVTZTK2TR3ASQH642YWORLHE"

// noEvents cannot be used, whatever they look like.
func noEvents() map[string][]byte {
	filled := func(b string) []byte { return bytes.Repeat([]byte(b), maxPayload/len(b)-1024) }
	return map[string][]byte{
		"nothing":             {},
		"null":                []byte("null"),
		"list":                []byte("[]"),
		"text":                []byte(`"host_heartbeat"`),
		"cut off":             event("host_heartbeat", someHost, "{}")[:120],
		"binary":              {0, 1, 2, 0xff, 0xfe, 0},
		"deep":                filled("["),
		"deep objects":        filled(`{"a":`),
		"as large as can be":  filled("x"),
		"large text":          append(append([]byte(`{"type":"`), filled("y")...), '"', '}'),
		"no source":           event("host_started", "", "{}"),
		"other type":          bytes.ReplaceAll(event("host_started", someHost, "{}"), []byte("com.wasmcloud.lattice."), []byte("org.example.")),
		"time of day":         bytes.ReplaceAll(event("host_started", someHost, "{}"), []byte("202"), []byte("x02")),
		"unknown kind":        event("host_exploded", someHost, "{}"),
		"no id":               event("component_scaled", someHost, `{"max_instances":3}`),
		"negative count":      event("component_scaled", someHost, `{"component_id":"web-c0","image_ref":"x","max_instances":-3}`),
		"enormous count":      event("component_scaled", someHost, `{"component_id":"web-c0","image_ref":"x","max_instances":1e99}`),
		"count as text":       event("component_scaled", someHost, `{"component_id":"web-c0","image_ref":"x","max_instances":"many"}`),
		"components as text":  event("host_heartbeat", someHost, `{"components":"all","providers":[],"labels":{}}`),
		"labels as list":      event("host_heartbeat", someHost, `{"components":[],"providers":[],"labels":["a"]}`),
		"data as number":      event("host_heartbeat", someHost, `17`),
		"link without ends":   event("linkdef_set", someHost, `{"name":"x"}`),
		"config without name": event("config_set", someHost, `{}`),
	}
}

// lies are well-formed and say what no host would: names that are patterns,
// parts of subjects, or longer than any.
func lies() [][]byte {
	var out [][]byte
	for _, name := range []string{">", "*", "evil.>", "a.b.c", "a b", "ünï", "\x00", "$SYS.REQ.SERVER.PING", strings.Repeat("N", 60_000), "../../etc", "N\r\nPUB x 0\r\n\r\n"} {
		quoted, _ := json.Marshal(name)
		for _, kind := range []string{"host_started", "host_heartbeat", "host_stopped", "labels_changed"} {
			out = append(out, event(kind, name, fmt.Sprintf(`{"components":[],"providers":[],"labels":{"zone":"a"},"friendly_name":"x","version":"1.9.2","host_id":%s}`, quoted)))
		}
		out = append(out,
			event("component_scaled", name, fmt.Sprintf(`{"component_id":%s,"image_ref":%s,"max_instances":1,"annotations":{"wasmcloud.dev/managed-by":"wadm","wasmcloud.dev/appspec":%s}}`, quoted, quoted, quoted)),
			event("provider_started", name, fmt.Sprintf(`{"provider_id":%s,"image_ref":%s,"annotations":{"wasmcloud.dev/managed-by":"wadm"}}`, quoted, quoted)),
			event("linkdef_set", name, fmt.Sprintf(`{"source_id":%s,"target":%s,"name":%s,"wit_namespace":"a","wit_package":"b","interfaces":[]}`, quoted, quoted, quoted)),
			event("config_set", name, fmt.Sprintf(`{"config_name":%s}`, quoted)))
	}
	return out
}

func TestBadEventsAreCountedAndDisturbNobody(t *testing.T) {
	t.Parallel()
	const components, rounds = 2, 20
	r := newRig(t)
	pelted := r.lattice("default", 4, simhost.Config{RequireEpoch: true})
	calm := r.lattice("calm", 4, simhost.Config{RequireEpoch: true})
	in := r.start("one", "--log-level", "debug")
	c := r.client("default")
	r.put(c, web(components))
	r.deploy(c, "web")
	r.awaitStatus(c, "web", tenancy.StatusDeployed)
	seen := len(pelted.Commands())

	// Whatever the server makes of all this, it must not speak to strange subjects.
	var mu sync.Mutex
	strange := map[string]bool{}
	if _, err := r.nats.Connect(t).Subscribe("wasmbus.ctl.>", func(m *nats.Msg) {
		if strings.Count(m.Subject, ".") > 6 || strings.ContainsAny(m.Subject, ">*\x00\r\n") || len(m.Subject) > 500 {
			mu.Lock()
			strange[m.Subject] = true
			mu.Unlock()
		}
	}); err != nil {
		t.Fatal(err)
	}
	dropped := r.metric(in, "wadm_events_dropped_total")
	bad := noEvents()
	publish := func(m *nats.Msg) {
		t.Helper()
		if err := r.nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	for i := range rounds {
		for _, body := range bad {
			if len(body) > 1<<16 && i > 1 {
				continue // two rounds of the large ones will do
			}
			publish(&nats.Msg{Subject: "wasmbus.evt.default.host_heartbeat", Data: body})
		}
	}
	for _, body := range lies() {
		publish(&nats.Msg{Subject: "wasmbus.evt.default.host_heartbeat", Data: body})
	}
	// Headers that mean something to JetStream or to clients.
	for key, value := range map[string]string{
		"Nats-Rollup": "all", "Nats-Expected-Stream": "wadm_ledger", "Nats-Msg-Id": "1", "Status": "503", "Nats-TTL": "1s",
		"Nats-Stream": "x", "Nats-Subject": "wadm.own.default.default", "traceparent": "00-zz-zz-zz", "Nats-Schedule": "@every 1s",
	} {
		m := &nats.Msg{Subject: "wasmbus.evt.default.host_heartbeat", Header: nats.Header{key: {value}}, Data: []byte("{}")}
		publish(m)
	}
	for _, lattice := range []string{"$SYS", "ünï", "a=b", "a/b", "..", "a%2Eb", "-a", "_a", strings.Repeat("l", 129), strings.Repeat("l", 2000), "\x01", "\xff"} {
		if strings.Contains(lattice, "..") {
			continue // the server refuses empty tokens
		}
		for _, kind := range []string{"host_started", "host_heartbeat"} {
			publish(&nats.Msg{Subject: "wasmbus.evt." + lattice + "." + kind, Data: event(kind, someHost, `{"labels":{}}`)})
		}
	}

	// The neighbour does not notice.
	at := time.Now()
	neighbour := r.client("calm")
	r.put(neighbour, web(components))
	r.deploy(neighbour, "web")
	r.awaitStatus(neighbour, "web", tenancy.StatusDeployed)
	took := time.Since(at)
	t.Logf("a deploy beside it took %v", took.Round(time.Millisecond))
	if took > 20*time.Second {
		t.Errorf("a deploy beside it took %v", took)
	}

	small := 0
	for _, body := range bad {
		if len(body) <= 1<<16 {
			small++
		}
	}
	want := float64(rounds*small + 2*(len(bad)-small))
	r.eventually("every bad event is counted", func() error {
		if n := r.metric(in, "wadm_events_dropped_total") - dropped; n < want {
			return fmt.Errorf("%v of %v", n, want)
		}
		return nil
	})
	for _, reason := range []string{"not a host event", "unknown kind of event", "event data not usable"} {
		if !strings.Contains(in.Output(), reason) {
			t.Errorf("the log never says %q", reason)
		}
	}
	if n := r.metric(in, "wadm_worker_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	// The lattice itself still works, and nothing that runs was touched.
	if err := pelted.Hosts()[0].RemoveComponent("web-c0"); err != nil {
		t.Fatal(err)
	}
	r.eventually("an operator's hand is corrected", func() error { return whole(pelted, components) })
	if got := commandsSince(pelted, seen); got.stops+got.updates > 0 {
		t.Errorf("%d stops, %d updates because of lies", got.stops, got.updates)
	}
	if status, body := r.get(in.admin + "/readyz"); status != http.StatusOK {
		t.Errorf("readiness: %d %s", status, body)
	}
	mu.Lock()
	defer mu.Unlock()
	for s := range strange {
		t.Errorf("the server sent to %.200q", s)
	}
	spotless(t, pelted)
	spotless(t, calm)
}

func TestBadRequestsAreAnsweredAndChangeNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.lattice("default", 2, simhost.Config{})
	in := r.start("one")
	c := r.client("default")
	large := func(b string) string { return strings.Repeat(b, (maxPayload-4096)/len(b)) }
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", 'b'+i, 'b'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i, 'a'+i)
	}
	bodies := map[string]string{
		"nothing": "", "null": "null", "binary": "\x00\x01\xff\xfe", "text": "hello", "list": "[1,2]", "number": "1e999", "not UTF-8": "a: \xff",
		"deep JSON": large("["), "deep YAML": large("- "), "deep flow": large("{a: "), "bomb": bomb, "large": large("x"), "many documents": large("---\na: b\n"),
		"many keys": large("k: v\n"), "cut off": web(3)[:300] + "\n  - {",
		"name with dots": strings.Replace(web(1), "name: web", "name: a.b.>", 1), "name too long": strings.Replace(web(1), "name: web", "name: "+strings.Repeat("n", 5000), 1),
	}
	type request struct{ subject, body string }
	requests := map[string]request{}
	for name, body := range bodies {
		requests["put "+name] = request{"wadm.api.default.model.put", body}
		if name != "nothing" {
			requests["deploy with "+name] = request{"wadm.api.default.model.deploy.nope", body}
		}
	}
	for _, s := range []string{
		"wadm.api.default", "wadm.api.default.model", "wadm.api.default.model.nope", "wadm.api.default.model.nope.x", "wadm.api.default.nope.get.x",
		"wadm.api.default.model.get.a.b.c", "wadm.api.default.model.deploy", "wadm.api.$SYS.model.put", "wadm.api.ünï.model.put", "wadm.api.a/b.model.get.x",
		"wadm.api.-a.model.put", "wadm.api." + strings.Repeat("l", 1000) + ".model.put", "wadm.api.default.model.get." + strings.Repeat("n", 1000),
		"wadm.api.default.model.deploy.$KV", "wadm.api.default.model.del.ünï", "wadm.api.wadm.api.wadm.api",
		"wadm.api.default.model.undeploy.\x01",
	} {
		requests["subject "+s[:min(len(s), 60)]] = request{s, web(1)}
	}
	for name, q := range requests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(r.ctx, 30*time.Second)
			defer cancel()
			m, err := r.nc.RequestWithContext(ctx, q.subject, []byte(q.body))
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			var answer struct{ Result, Message string }
			if err := json.Unmarshal(m.Data, &answer); err != nil {
				t.Fatalf("answer is %.200q: %v", m.Data, err)
			}
			if answer.Result != "error" && answer.Result != "notfound" || answer.Message == "" {
				t.Errorf("answer is %.300s", m.Data)
			}
			if len(m.Data) > 16<<10 {
				t.Errorf("answer has %d bytes", len(m.Data))
			}
		})
	}
	if models, err := c.List(r.ctx); err != nil || len(models) > 0 {
		t.Errorf("applications afterwards: %+v, %v", models, err)
	}
	if n := len(l.Commands()); n > 0 {
		t.Errorf("%d commands", n)
	}
	// A well-formed request is answered as if nothing had been.
	r.put(c, web(1))
	r.deploy(c, "web")
	r.awaitStatus(c, "web", tenancy.StatusDeployed)
	if n := r.metric(in, "wadm_worker_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	spotless(t, l)
}
