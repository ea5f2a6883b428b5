package simhost_test

import (
	"encoding/json"
	"testing"
	"time"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

func link(source, target, name string, interfaces ...string) lattice.Link {
	return lattice.Link{
		Source: lattice.WorkloadID(source), Target: lattice.WorkloadID(target), Name: name, Namespace: "wasi", Package: "http",
		Interfaces: interfaces, SourceConfig: []string{}, TargetConfig: []string{},
	}
}

func TestLinksConflictOnlyOverACommonInterface(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		w.host(simhost.HostConfig{})
		w.heard()
		const conflict = "link already exists with different target, consider deleting the existing link or using a different link name"
		for _, step := range []struct {
			link    lattice.Link
			message string
			event   string
		}{
			{link("a", "b", "default", "i"), "successfully set link", "linkdef_set a b"},
			{link("a", "b", "default", "i"), "successfully set link", "linkdef_set a b"},
			{link("a", "c", "default", "j", "i"), conflict, "linkdef_set_failed a c " + conflict},
			{link("a", "c", "default", "j"), "successfully set link", "linkdef_set a c"},
			{link("a", "c", "other", "i"), "successfully set link", "linkdef_set a c"},
			{link("a", "b", "default", "k"), "successfully set link", "linkdef_set a b"},
		} {
			diff(t, encode(step.link), step.message, w.ask("link.put", encode(step.link)).Message)
			diff(t, encode(step.link), []string{step.event}, brief(w.heard()))
		}
		want := []lattice.Link{link("a", "b", "default", "k"), link("a", "c", "default", "j"), link("a", "c", "other", "i")}
		diff(t, "links", want, w.sim.Links())
		var got []lattice.Link
		if err := json.Unmarshal(w.ask("link.get", "").Response, &got); err != nil {
			t.Fatal(err)
		}
		diff(t, "link.get", want, got)
		diff(t, "needless", map[string]int{"link.put": 1}, w.sim.Stats().Needless)
	})
}

func TestLinkDeletionTakesTheFirstMatchOnly(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		w.host(simhost.HostConfig{})
		for _, k := range []lattice.Link{link("a", "b", "default", "i"), link("a", "c", "default", "j"), link("a", "d", "other", "i")} {
			w.ask("link.put", encode(k))
		}
		w.heard()
		const del = `{"source_id":"a","wit_namespace":"wasi","wit_package":"http"}`
		for _, step := range []struct {
			body, message string
			events        []string
		}{
			{del, "successfully deleted link", []string{"linkdef_deleted a b"}},
			{del, "successfully deleted link", []string{"linkdef_deleted a c"}},
			{del, "successfully deleted link", []string{"linkdef_deleted a"}},
			{`{"source_id":"z","wit_namespace":"wasi","wit_package":"http"}`, "successfully deleted link (spec doesn't exist)", []string{}},
		} {
			diff(t, step.body, step.message, w.ask("link.del", step.body).Message)
			diff(t, step.body, step.events, brief(w.heard()))
		}
		diff(t, "links", []lattice.Link{link("a", "d", "other", "i")}, w.sim.Links())
	})
}

func TestLinkNeedsItsConfigurations(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		w.host(simhost.HostConfig{})
		w.ask("config.put.here", `{}`)
		k := link("a", "b", "default", "i")
		k.SourceConfig, k.TargetConfig = []string{"here", "x"}, []string{"SECRET_y"}
		diff(t, "reply", "Failed to validate configuration and secrets. Configuration x not found in config store. Secret reference SECRET_y not found in config store. ", w.ask("link.put", encode(k)).Message)
		diff(t, "links", []lattice.Link{}, w.sim.Links())
	})
}

func TestLinksAreShownAfterTheLag(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{LinkLag: time.Second}, func(t *testing.T, w *world) {
		w.host(simhost.HostConfig{})
		w.ask("link.put", encode(link("a", "b", "default", "i")))
		diff(t, "at once", "[]", string(w.ask("link.get", "").Response))
		time.Sleep(time.Second)
		diff(t, "later", `[{"source_id":"a","target":"b","name":"default","wit_namespace":"wasi","wit_package":"http","interfaces":["i"],"source_config":[],"target_config":[]}]`, string(w.ask("link.get", "").Response))
	})
}

func TestConfigurationsAreReplacedWholeAndAbsentOnesAreNoFailure(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		w.host(simhost.HostConfig{})
		w.heard()
		w.ask("config.put.x", `{"a":"1","b":"2"}`)
		w.ask("config.put.x", `{"a":"<ü>"}`)
		var got map[string]string
		if err := json.Unmarshal(w.ask("config.get.x", "").Response, &got); err != nil {
			t.Fatal(err)
		}
		diff(t, "value", map[string]string{"a": "<ü>"}, got)
		diff(t, "stored", map[string]map[string]string{"x": {"a": "<ü>"}}, w.sim.Configs())
		w.ask("config.del.x", "")
		w.ask("config.del.x", "")
		r := w.ask("config.get.x", "")
		if !r.Success || r.Message != "Configuration not found" || r.Response != nil {
			t.Errorf("get of an absent configuration: %+v", r)
		}
		diff(t, "name refused", "unable to store config data", w.ask("config.put.a$b", `{}`).Message)
		diff(t, "name refused", "Unable to delete config data", w.ask("config.del.a$b", ``).Message)
		diff(t, "events", []string{"config_set x", "config_set x", "config_deleted x", "config_deleted x"}, brief(w.heard()))
	})
}

func TestUnreadableRequestsAreRefusedAndViolations(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask("config.put.kept", `{"k":"v"}`)
		w.heard()
		const (
			badScale    = "failed to deserialize component scale command"
			badUpdate   = "failed to deserialize component update command"
			badStart    = "failed to deserialize provider start command"
			badStop     = "failed to deserialize provider stop command"
			badLink     = "failed to deserialize wrpc link definition"
			badConfig   = "config data should be a map of string -> string"
			unsupported = "unsupported subject"
		)
		cases := []struct{ subject, body, message string }{
			{on("component.scale", h), ``, badScale},
			{on("component.scale", h), `null`, badScale},
			{on("component.scale", h), `{}`, badScale},
			{on("component.scale", h), `{"component_id":"c","count":-1}`, badScale},
			{on("component.scale", h), `{"component_id":"c","count":1.5}`, badScale},
			{on("component.scale", h), `{"component_id":"c","count":null}`, badScale},
			{on("component.scale", h), `{"component_id":"c","count":1,"config":null}`, badScale},
			{on("component.scale", h), `{"component_id":"c","count":1,"config":[null]}`, badScale},
			{on("component.scale", h), `{"component_id":"c","count":1,"annotations":{"a":null}}`, badScale},
			{on("component.scale", h), `{"Component_ID":"c","count":1}`, badScale},
			{on("component.scale", h), "{\"component_id\":\"\xff\",\"count\":1}", badScale},
			{on("component.scale", h), `{"component_id":"c","count":1} x`, badScale},
			{on("component.update", h), `{"component_id":1}`, badUpdate},
			{on("provider.start", h), `{"provider_ref":"r"}`, badStart},
			{on("provider.stop", h), `{}`, badStop},
			{on("host.stop", h), `{`, "failed to deserialize stop command"},
			{on("host.stop", h), `{"timeout":-1}`, "failed to deserialize stop command"},
			{"link.put", encode(lattice.Link{Source: "a", Target: "b", Name: "n", Namespace: "w", Package: "p"}), badLink},
			{"link.put", `{"source_id":"a","target":"b","wit_namespace":"w","wit_package":"p","interfaces":["i"],"source_config":null}`, badLink},
			{"link.put", `{"source_id":"a","wit_namespace":"w","wit_package":"p","interfaces":["i"]}`, badLink},
			{"link.del", `{"source_id":"a"}`, badLink},
			{"config.put.x", `{"a":1}`, badConfig},
			{"config.put.x", `{"a":null}`, badConfig},
			{"config.put.x", `null`, badConfig},
			{"config.put.x.y", `{}`, unsupported},
			{"registry.put", `{"r":{"registryType":1}}`, "failed to deserialize registries put command"},
			{on("component.nope", h), `{}`, unsupported},
			{on("host.nope", h), `{}`, unsupported},
			{"link.nope", `{}`, unsupported},
			{"config.nope.x", `{}`, unsupported},
		}
		for _, tc := range cases {
			r := w.ask(tc.subject, tc.body)
			if r.Success || r.Message != tc.message {
				t.Errorf("%s %s: %+v", tc.subject, tc.body, r)
			}
		}
		diff(t, "events", []string{}, brief(w.heard()))
		diff(t, "inventory", "", w.inventory(h))
		diff(t, "configs", map[string]map[string]string{"kept": {"k": "v"}}, w.sim.Configs())
		diff(t, "links", []lattice.Link{}, w.sim.Links())
		n := 0
		for _, rule := range w.rules() {
			if rule != simhost.RuleMalformed && rule != simhost.RuleUnsupported {
				t.Errorf("violation %s", rule)
			}
			n++
		}
		diff(t, "violations", len(cases), n)
	})
}

func TestRequestsAreReadAsHostsReadThem(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		for _, tc := range []struct{ subject, body string }{
			{on("component.scale", h), `{"component_id":"c","component_ref":"img","count":1,"annotations":null,"component_limits":null,"later":{"x":1}}`},
			{on("provider.start", h), `{"provider_id":"p","provider_ref":"r","annotations":null}`},
			{on("provider.stop", h), `{"provider_ref":"p"}`},
			{"link.put", `{"source_id":"a","target":"b","wit_namespace":"w","wit_package":"p","interfaces":[]}`},
			{"registry.put", `{"r":{"username":"u","password":null}}`},
		} {
			if r := w.ask(tc.subject, tc.body); !r.Success {
				t.Errorf("%s %s: %+v", tc.subject, tc.body, r)
			}
		}
		diff(t, "link name", "default", w.sim.Links()[0].Name)
	})
}

func TestAuctionsAreAnsweredOnlyByHostsThatFit(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{Labels: map[string]string{"zone": "a"}})
		w.host(simhost.HostConfig{Labels: map[string]string{"zone": "b"}})
		w.host(simhost.HostConfig{Labels: map[string]string{"zone": "a"}, NoAuctions: true})
		var ack map[string]any
		r := w.ask("component.auction", `{"component_ref":"img","component_id":"c","constraints":{"zone":"a"}}`)
		if err := json.Unmarshal(r.Response, &ack); err != nil {
			t.Fatal(err)
		}
		// Real hosts give the reference as the id.
		diff(t, "bid", map[string]any{"component_ref": "img", "component_id": "img", "host_id": string(h.ID()), "constraints": map[string]any{"zone": "a"}}, ack)
		ack = nil
		r = w.ask("provider.auction", `{"provider_ref":"img","provider_id":"p","constraints":{"zone":"a"}}`)
		if err := json.Unmarshal(r.Response, &ack); err != nil {
			t.Fatal(err)
		}
		diff(t, "bid", map[string]any{"provider_ref": "img", "provider_id": "p", "host_id": string(h.ID()), "constraints": map[string]any{"zone": "a"}}, ack)
		w.ask(on("provider.start", h), startOf(h, "p", "img", "s"))
		for _, body := range []string{`{"provider_id":"p","constraints":{"zone":"a"}}`, `{"provider_id":"q","constraints":{"zone":"c"}}`} {
			if err := w.unheard("provider.auction", body); !timedOut(err) {
				t.Errorf("%s: %v", body, err)
			}
		}
	})
}
