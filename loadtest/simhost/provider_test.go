package simhost_test

import (
	"testing"
	"time"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

func TestProviderStartAndStopAreTold(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{ShutdownDelay: 100 * time.Millisecond}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.heard()
		for ref, shown := range map[string]string{
			"oci://reg/p:1": "reg/p:1", "reg/p:1": "reg/p:1", "file:///d/p.par": "/d/p.par", "https://x/p": "x/p", "wasmcloud+builtin://http-server": "http-server",
		} {
			diff(t, "start", "successfully started provider", w.ask(on("provider.start", h), startOf(h, "p", ref, "s")).Message)
			diff(t, "events", []string{"provider_started p " + shown + " by s"}, brief(w.heard()))
			diff(t, "inventory", "p "+shown, w.inventory(h))
			r := w.ask(on("provider.start", h), startOf(h, "p", ref, "s"))
			diff(t, "again", "provider with that ID is already running", r.Message)
			diff(t, "stop", "successfully stopped provider", w.ask(on("provider.stop", h), stopOf(h, "p")).Message)
			diff(t, "events", []string{"provider_stopped p by s"}, brief(w.heard()))
		}
		diff(t, "violations", []simhost.Rule{}, w.rules())
	})
}

func TestProviderStartFailuresAreTold(t *testing.T) {
	t.Parallel()
	images := map[string]simhost.Image{"absent": {FetchError: "manifest not found"}, "denied": {Denied: "policy denied request to start provider `p`: `no`"}, "slow": {Fetch: time.Second}}
	bubble(t, simhost.Config{Images: func(ref string) simhost.Image { return images[ref] }}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{DisabledBuiltins: []string{"http-server"}})
		w.heard()
		for ref, text := range map[string]string{
			"":                                "failed to parse provider reference",
			"absent":                          "failed to fetch provider: manifest not found",
			"denied":                          "policy denied request to start provider `p`: `no`",
			"wasmcloud+builtin://http-client": "feature `builtin-http-client` is not enabled, denying start",
			"wasmcloud+builtin://magic":       "unknown builtin name: magic",
		} {
			if r := w.ask(on("provider.start", h), startOf(h, "p", ref, "s")); !r.Success {
				t.Errorf("%s: refused with %q", ref, r.Message)
			}
			events := w.heard()
			diff(t, ref, []string{"provider_start_failed p " + text}, brief(events))
			diff(t, ref, any(ref), events[0].Data["provider_ref"])
		}
		if err := w.unheard(on("provider.start", h), startOf(h, "p", "wasmcloud+builtin://http-server", "s")); !timedOut(err) {
			t.Errorf("start of a disabled built-in: %v", err)
		}
		// Two starts while the image is on its way: the second fails late.
		w.ask(on("provider.start", h), startOf(h, "p", "slow", "s"))
		w.ask(on("provider.start", h), startOf(h, "p", "slow", "s"))
		time.Sleep(2 * time.Second)
		diff(t, "two starts", []string{"provider_started p slow by s", "provider_start_failed p provider is already running with that ID"}, brief(w.heard()))
		diff(t, "needless", map[string]int{"provider.start": 1}, w.sim.Stats().Needless)
	})
}

func TestHealthChecksFollowTheProvider(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask(on("provider.start", h), startOf(h, "p", "reg/p:1", "s"))
		w.ask(on("provider.start", h), startOf(h, "b", "wasmcloud+builtin://http-server", "s"))
		w.heard()
		for i, step := range []struct {
			health simhost.Health
			want   []string
		}{
			{simhost.Healthy, []string{"health_check_passed p"}},
			{simhost.Healthy, []string{"health_check_status p"}},
			{simhost.Unhealthy, []string{"health_check_failed p"}},
			{simhost.Unhealthy, []string{"health_check_status p"}},
			{simhost.Hung, []string{}},
			{simhost.Healthy, []string{"health_check_passed p"}},
		} {
			if err := h.SetProviderHealth("p", step.health); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				time.Sleep(5 * time.Second)
			} else {
				time.Sleep(30 * time.Second)
			}
			diff(t, "checks", step.want, brief(w.heard("health_check")))
		}
		if err := h.RemoveProvider("p"); err != nil {
			t.Fatal(err)
		}
		w.heard()
		time.Sleep(time.Minute)
		diff(t, "checks after the stop", []string{}, brief(w.heard("health_check")))
	})
}

func TestProviderUnhealthyFromTheStartNeverFails(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask(on("provider.start", h), startOf(h, "p", "reg/p:1", "s"))
		if err := h.SetProviderHealth("p", simhost.Unhealthy); err != nil {
			t.Fatal(err)
		}
		time.Sleep(36 * time.Second)
		diff(t, "checks", []string{"health_check_status p", "health_check_status p"}, brief(w.heard("health_check")))
	})
}

func TestTouchingForeignWorkIsAViolation(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		theirs := map[string]string{"team": "them"}
		for _, id := range []lattice.WorkloadID{"c", "d"} {
			if err := h.StartComponent(lattice.Component{ID: id, Image: "img:1", Max: 1, Annotations: theirs}); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.StartProvider(lattice.Provider{ID: "p", Image: "reg/p:1", Annotations: theirs}); err != nil {
			t.Fatal(err)
		}
		if err := w.sim.SeedConfig("cfg", map[string]string{"k": "v"}); err != nil {
			t.Fatal(err)
		}
		link := lattice.Link{Source: "p", Target: "c", Name: "default", Namespace: "wasi", Package: "http", Interfaces: []string{"i"}, SourceConfig: []string{"cfg"}, TargetConfig: []string{}}
		if err := w.sim.SeedLink(link); err != nil {
			t.Fatal(err)
		}
		diff(t, "violations by hand", []simhost.Rule{}, w.rules())

		w.ask(on("component.scale", h), scaleTo(h, "c", "img:1", 0, "s"))
		w.ask(on("component.update", h), encode(map[string]any{"component_id": "d", "new_component_ref": "img:2", "host_id": h.ID()}))
		w.ask(on("provider.stop", h), stopOf(h, "p"))
		w.ask("config.put.cfg", `{}`)
		w.ask("config.del.cfg", "")
		w.ask("link.del", `{"source_id":"p","name":"default","wit_namespace":"wasi","wit_package":"http"}`)
		foreign := simhost.RuleForeign
		diff(t, "violations", []simhost.Rule{foreign, foreign, foreign, foreign, foreign, foreign}, w.rules())
	})
}

func TestClaimsOfSignedImagesAreToldAndListed(t *testing.T) {
	t.Parallel()
	images := map[string]simhost.Image{
		"signed": {Claims: &simhost.Claims{Subject: "MSUB", Issuer: "AISS", Name: "hello", Version: "0.1.0", Revision: 3}},
	}
	bubble(t, simhost.Config{Images: func(ref string) simhost.Image { return images[ref] }}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.heard()
		w.ask(on("component.scale", h), scaleTo(h, "c", "signed", 1, "s"))
		data := w.heard("component_scaled")[0].Data
		diff(t, "public key", any("MSUB"), data["public_key"])
		diff(t, "claims", any(map[string]any{
			"call_alias": nil, "issuer": "AISS", "tags": nil, "name": "hello", "version": "0.1.0", "revision": 3.0, "not_before_human": "never", "expires_human": "never",
		}), data["claims"])
		diff(t, "claims.get", `[{"call_alias":"","iss":"AISS","issuer":"AISS","name":"hello","rev":"3","revision":"3","sub":"MSUB","subject":"MSUB","tags":"","version":"0.1.0"}]`, string(w.ask("claims.get", "").Response))
	})
}
