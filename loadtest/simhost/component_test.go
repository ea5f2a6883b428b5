package simhost_test

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestFirstStartIsToldTwiceWithDifferentIDsAndTimes(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.heard()
		if r := w.ask(on("component.scale", h), scaleTo(h, "c", "img:1", 2, "s1")); !r.Success || r.Message != "" {
			t.Errorf("reply %+v", r)
		}
		events := w.heard()
		diff(t, "events", []string{"component_scaled c img:1 2 by s1", "component_scaled c img:1 2 by s1"}, brief(events))
		if events[0].ID == events[1].ID || !events[1].Time.After(events[0].Time) {
			t.Errorf("ids %s %s, times %v %v", events[0].ID, events[1].ID, events[0].Time, events[1].Time)
		}
		diff(t, "instances", map[lattice.HostID]uint32{h.ID(): 2}, w.sim.Instances("c"))
	})
}

func TestScaleOfARunningComponentTellsWhatWasStored(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask("config.put.cfg", `{"k":"v"}`)
		w.ask(on("component.scale", h), scaleTo(h, "c", "img:1", 2, "s1"))
		w.heard()
		for _, step := range []struct {
			body, event, inventory string
		}{
			// Nothing differs that counts: the new annotations are lost.
			{scaleTo(h, "c", "img:1", 2, "s2"), "component_scaled c img:1 2 by s1", "c img:1 x2 by s1"},
			// The count differs: told with the old annotations, stored with the new.
			{scaleTo(h, "c", "img:1", 3, "s2"), "component_scaled c img:1 3 by s1", "c img:1 x3 by s2"},
			// So does the list of configurations.
			{scaleTo(h, "c", "img:1", 3, "s3", "cfg"), "component_scaled c img:1 3 by s2", "c img:1 x3 by s3"},
			{scaleTo(h, "c", "img:1", 3, "s4", "cfg"), "component_scaled c img:1 3 by s3", "c img:1 x3 by s3"},
			// Going away, too, is told with what was stored.
			{scaleTo(h, "c", "img:1", 0, "s5"), "component_scaled c img:1 0 by s3", ""},
			// Nothing there: told with what was asked.
			{scaleTo(h, "c", "img:9", 0, "s6"), "component_scaled c img:9 0 by s6", ""},
		} {
			w.ask(on("component.scale", h), step.body)
			diff(t, step.body, []string{step.event}, brief(w.heard()))
			diff(t, step.body, step.inventory, w.inventory(h))
		}
		diff(t, "violations", []simhost.Rule{}, w.rules())
	})
}

func TestScaleToAnotherImageLiesAndIsAViolation(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask(on("component.scale", h), scaleTo(h, "c", "img:1", 1, "s1"))
		r := w.ask(on("component.scale", h), scaleTo(h, "c", "img:2", 2, "s2"))
		diff(t, "reply", "Requested to scale existing component to a different image reference: img:1 != img:2. The component will be scaled but the image reference will not be updated. If you meant to update this component to a new image ref, use the update command.", r.Message)
		diff(t, "inventory", "c img:2 x2 by s2", w.inventory(h))
		diff(t, "code", "img:1", h.Code("c"))
		diff(t, "violations", []simhost.Rule{simhost.RuleOtherImage}, w.rules())
	})
}

func TestUpdateKeepsTheOldCodeUntilTheNewIsCompiled(t *testing.T) {
	t.Parallel()
	images := func(string) simhost.Image { return simhost.Image{Fetch: time.Second, Compile: 10 * time.Second} }
	bubble(t, simhost.Config{Images: images}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{HeartbeatInterval: 4 * time.Second})
		w.ask(on("component.scale", h), scaleTo(h, "c", "img:1", 2, "s1"))
		time.Sleep(13 * time.Second)
		w.heard("component", "host")
		update := encode(map[string]any{"component_id": "c", "new_component_ref": "img:2", "annotations": annotated("s2"), "host_id": h.ID()})
		diff(t, "reply", "component c updating from img:1 to img:2", w.ask(on("component.update", h), update).Message)
		time.Sleep(10500 * time.Millisecond)
		diff(t, "inventory", "c img:1 x2 by s1", w.inventory(h))
		diff(t, "code", "img:1", h.Code("c"))
		if n := len(w.heard("host_heartbeat")); n < 2 {
			t.Errorf("%d heartbeats during an update", n)
		}
		time.Sleep(time.Second)
		diff(t, "events", []string{"component_scaled c img:2 2 by s2", "component_scaled c img:2 0 by s2"}, brief(w.heard()))
		diff(t, "inventory", "c img:2 x2 by s2", w.inventory(h))
		diff(t, "code", "img:2", h.Code("c"))
		diff(t, "reply", "component c already updated to img:2", w.ask(on("component.update", h), update).Message)
		diff(t, "violations", []simhost.Rule{}, w.rules())
	})
}

func TestUpdateToABrokenImageIsSilentAndChangesNothing(t *testing.T) {
	t.Parallel()
	images := map[string]simhost.Image{"absent": {FetchError: "manifest not found"}, "broken": {CompileError: "no component"}}
	bubble(t, simhost.Config{Images: func(ref string) simhost.Image { return images[ref] }}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask(on("component.scale", h), scaleTo(h, "c", "img:1", 2, "s1"))
		w.heard()
		for ref := range images {
			if r := w.ask(on("component.update", h), encode(map[string]any{"component_id": "c", "new_component_ref": ref, "host_id": h.ID()})); !r.Success {
				t.Errorf("reply %+v", r)
			}
		}
		diff(t, "events", []string{}, brief(w.heard()))
		diff(t, "inventory", "c img:1 x2 by s1", w.inventory(h))
	})
}

func TestFailedStartsAreToldOnce(t *testing.T) {
	t.Parallel()
	images := map[string]simhost.Image{
		"absent": {Fetch: time.Second, FetchError: "failed to fetch component under OCI reference `absent`: manifest not found"},
		"broken": {CompileError: "unexpected end of input"},
		"denied": {Denied: "Policy denied request to scale component `c`"},
	}
	bubble(t, simhost.Config{Images: func(ref string) simhost.Image { return images[ref] }}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.heard()
		for _, tc := range []struct{ body, event string }{
			{scaleTo(h, "c", "absent", 1, "s"), "component_scale_failed c absent 1 failed to fetch component: failed to fetch component under OCI reference `absent`: manifest not found by s"},
			{scaleTo(h, "c", "broken", 1, "s"), "component_scale_failed c broken 1 unexpected end of input by s"},
			{scaleTo(h, "c", "denied", 0, "s"), "component_scale_failed c denied 0 Policy denied request to scale component `c` by s"},
			{scaleTo(h, "c", "img", 1, "s", "nope"), "component_scale_failed c img 1 Unable to fetch requested config: Config nope does not exist by s"},
			{scaleTo(h, "c", "absent", 0, "s"), "component_scaled c absent 0 by s"},
		} {
			if r := w.ask(on("component.scale", h), tc.body); !r.Success {
				t.Errorf("%s: refused with %q", tc.body, r.Message)
			}
			time.Sleep(2 * time.Second)
			diff(t, tc.body, []string{tc.event}, brief(w.heard()))
		}
		// A component that runs needs no image to be scaled.
		w.ask(on("component.scale", h), scaleTo(h, "c", "img", 1, "s"))
		w.heard()
		w.ask(on("component.scale", h), scaleTo(h, "c", "absent", 2, "s"))
		time.Sleep(2 * time.Second)
		diff(t, "scaled without its image", []string{"component_scaled c img 2 by s"}, brief(w.heard()))
	})
}

func TestConfigurationUsedOnceNeverBecomesMissing(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h, other := w.host(simhost.HostConfig{}), w.host(simhost.HostConfig{})
		w.ask("config.put.cfg", `{"k":"v"}`)
		w.ask(on("component.scale", h), scaleTo(h, "c", "img", 1, "s", "cfg"))
		w.ask("config.del.cfg", "")
		w.heard()
		w.ask(on("component.scale", h), scaleTo(h, "d", "img", 1, "s", "cfg"))
		w.ask(on("component.scale", other), scaleTo(other, "d", "img", 1, "s", "cfg"))
		diff(t, "events", []string{"component_scaled d img 1 by s", "component_scaled d img 1 by s", "component_scale_failed d img 1 Unable to fetch requested config: Config cfg does not exist by s"}, brief(w.heard()))
	})
}

func TestSecretsMakeEveryScaleAReinstantiation(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask("config.put.SECRET_a", `{"name":"a"}`)
		w.ask(on("component.scale", h), scaleTo(h, "c", "img", 1, "s1", "SECRET_a"))
		w.ask(on("component.scale", h), scaleTo(h, "c", "img", 1, "s2", "SECRET_a"))
		diff(t, "inventory", "c img x1 by s2", w.inventory(h))
	})
}

func TestMissingCountStopsAndIsAViolation(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask(on("component.scale", h), scaleTo(h, "c", "img", 1, "s1"))
		w.heard()
		w.ask(on("component.scale", h), encode(map[string]any{"component_id": "c", "component_ref": "img", "max_instances": 3, "host_id": h.ID()}))
		diff(t, "events", []string{"component_scaled c img 0 by s1"}, brief(w.heard()))
		diff(t, "violations", []simhost.Rule{simhost.RuleNoCount}, w.rules())
	})
}

func TestLimitsAreShownAsFarAsReadable(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		for id, limits := range map[string]map[string]string{"some": {"max_memory_limit": "64", "max_execution_time": "soon", "x": "1"}, "none": {"x": "1"}} {
			w.ask(on("component.scale", h), encode(map[string]any{"component_id": id, "component_ref": "img", "count": 1, "host_id": h.ID(), "component_limits": limits}))
		}
		time.Sleep(31 * time.Second)
		beats := w.heard("host_heartbeat")
		got := map[string]any{}
		for _, c := range beats[0].Data["components"].([]any) {
			got[c.(map[string]any)["id"].(string)] = c.(map[string]any)["limits"]
		}
		diff(t, "limits", map[string]any{"some": map[string]any{"max_memory_limit": "64"}, "none": map[string]any{}}, got)
	})
}
