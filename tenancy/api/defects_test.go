package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy/api"
)

// TestDefects has a test for each defect of upstream's API that no other test of
// this package rules out; docs/reference/defects.md has them all. "API-" stands
// before the numbers of those that are known by the API's own count.
func TestDefects(t *testing.T) {
	t.Parallel()
	for _, d := range []struct {
		name string
		test func(*testing.T, *served)
	}{
		{"D-82", malformedLinksStopNobody},
		{"D-81", dashesJoinNothing},
		{"D-84", readingDoesNotGrowWithHistory},
		{"D-88", putNamesTheVersionItStored},
		{"API-D2", spreadsSurviveTheRoundTrip},
		{"API-D10", weightsOfZeroAreServed},
		{"API-D14", failedListsAreLists},
		{"API-D16", sharedComponentsMayHaveIDs},
		{"API-D19", namesBeyondASCIIAreRefusedInWords},
		{"API-D20", deletedKeysAreWrittenAgain},
		{"API-D25", annotationsMayBeMissing},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			d.test(t, serve(t, natstest.Start(t), api.Deps{}, api.Config{}))
		})
	}
}

// oneComponent is a manifest in YAML: component c with the traits given as a flow list.
func oneComponent(name, traits string) string {
	return fmt.Sprintf("apiVersion: x\nkind: y\nmetadata: {name: %s, annotations: {version: v1}}\nspec:\n  components:\n"+
		"    - {name: c, type: component, properties: {image: \"r/c:1\"}, traits: %s}\n    - {name: d, type: component, properties: {image: \"r/d:1\"}}\n", name, traits)
}

func (s *served) holds(t *testing.T, reply string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(reply, p) {
			t.Errorf("%q is not in %s", p, reply)
		}
	}
}

func malformedLinksStopNobody(t *testing.T, s *served) {
	for _, kind := range []string{"link", "spreadscaler", "daemonscaler", "acme"} {
		for _, properties := range []string{
			"{namespace: 5, package: http, interfaces: [x], target: {name: d}}",
			"{namespace: wasi, package: [http], interfaces: [x], target: {name: d}}",
			"{namespace: wasi, package: http, interfaces: [7], target: {name: d}}",
			"{namespace: wasi, package: http, interfaces: x, target: {name: d}}",
			"{namespace: wasi, package: http, interfaces: [x], name: ~, target: {name: d}}",
			"{namespace: wasi, package: http, interfaces: [x], name: {a: b}, target: {name: d}}",
			"{instances: 1, spread: []}", "{replicas: 1}", "[]", "~",
		} {
			got := s.ask(t, asked+"put", oneComponent("bad", fmt.Sprintf("[{type: %s, properties: %s}]", kind, properties)))
			if !strings.Contains(got, `"result":"`) {
				t.Errorf("%s %s: %s", kind, properties, got)
			}
		}
	}
	s.holds(t, s.ask(t, asked+"put", oneComponent("good", "[]")), `"result":"created"`)
}

func dashesJoinNothing(t *testing.T, s *served) {
	put := func(lattice, app string) {
		t.Helper()
		s.holds(t, s.ask(t, "wadm.api."+lattice+".model.put", manifestOf(app, "v1")), `"result":"created"`)
	}
	put("a", "b-c")
	put("a-b", "c")
	put("a", "b")
	for lattice, want := range map[string][]string{"a": {`"b"`, `"b-c"`}, "a-b": {`"c"`}} {
		s.holds(t, s.ask(t, "wadm.api."+lattice+".model.list", ""), want...)
	}
	s.ask(t, "wadm.api.a.model.del.b-c", "")
	s.holds(t, s.ask(t, "wadm.api.a-b.model.get.c", ""), `"result":"success"`)
	s.holds(t, s.ask(t, "wadm.api.a.model.get.b", ""), `"result":"success"`)
}

// readingDoesNotGrowWithHistory measures by the counters of NATS itself.
func readingDoesNotGrowWithHistory(t *testing.T, s *served) {
	const apps, versions, size, bound = 5, 40, 10 << 10, 200 << 10
	pad := `"annotations":{"pad":"` + strings.Repeat("x", size) + `",`
	for a := range apps {
		name := fmt.Sprint("app", a)
		for v := range versions {
			s.ask(t, asked+"put", strings.Replace(manifestOf(name, fmt.Sprint("v", v)), `"annotations":{`, pad, 1))
		}
		s.ask(t, asked+"deploy."+name, "")
	}
	moved := func(what, op, body string) {
		t.Helper()
		out := func() int64 {
			v, err := s.nats.NATS().Varz(&server.VarzOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return v.OutBytes
		}
		before := out()
		s.holds(t, s.ask(t, asked+op, body), "app")
		if n := out() - before; n > bound {
			t.Errorf("%s moved %d bytes; all versions together have %d", what, n, apps*versions*size)
		}
	}
	moved("a list", "list", "")
	moved("a deploy", "deploy.app0", `{"version":"v3"}`)
	moved("a put", "put", manifestOf("app9", "v1"))
	moved("the versions", "versions.app1", "")
}

func putNamesTheVersionItStored(t *testing.T, s *served) {
	for _, v := range []string{"v1", "v2"} {
		s.holds(t, s.ask(t, asked+"put", manifestOf("shop", v)), `"message":"Successfully put manifest shop `+v+`"`)
	}
}

func spreadsSurviveTheRoundTrip(t *testing.T, s *served) {
	for name, spread := range map[string]string{"given": "{name: any, requirements: {}}", "left": "{name: any}"} {
		s.holds(t, s.ask(t, asked+"put", oneComponent(name, "[{type: spreadscaler, properties: {instances: 2, spread: ["+spread+"]}}]")), `"result":"created"`)
		s.holds(t, s.ask(t, asked+"get."+name, ""), `"requirements":{}`)
	}
	// What a client reads it can put again, as JSON.
	again := `{"apiVersion":"x","kind":"y","metadata":{"name":"json","annotations":{"version":"v1"}},"spec":{"components":[{"name":"c","type":"component","properties":{"image":"r/c:1"},"traits":[{"type":"spreadscaler","properties":{"instances":2,"spread":[{"name":"any"}]}}]}]}}`
	s.holds(t, s.ask(t, asked+"put", again), `"result":"created"`)
	s.holds(t, s.ask(t, asked+"get.json", ""), `"requirements":{}`)
}

func weightsOfZeroAreServed(t *testing.T, s *served) {
	s.holds(t, s.ask(t, asked+"put", oneComponent("shop", "[{type: spreadscaler, properties: {instances: 4, spread: [{name: a, weight: 0}, {name: b, weight: 0}]}}]")), `"result":"created"`)
	s.want(t, asked+"deploy.shop", "", acked)
	s.holds(t, s.ask(t, asked+"list", ""), `"deployed_version":"v1"`)
}

func failedListsAreLists(t *testing.T, s *served) {
	s.holds(t, s.ask(t, "wadm.api.a$b.model.get", ""), `"result":"error"`, `"models":[]`)
	s.holds(t, s.ask(t, asked+"versions.a$b", ""), `"result":"error"`, `"versions":[]`)
	s.holds(t, s.ask(t, asked+"versions.none", ""), `"result":"notfound"`, `"versions":[]`)
}

func sharedComponentsMayHaveIDs(t *testing.T, s *served) {
	base := `{"apiVersion":"x","kind":"y","metadata":{"name":"base","annotations":{"version":"v1","experimental.wasmcloud.dev/shared":"true"}},"spec":{"components":[{"name":"c","type":"component","properties":{"image":"r/c:1","id":"special"}}]}}`
	s.ask(t, asked+"put", base)
	s.ask(t, asked+"deploy.base", "")
	for name, id := range map[string]string{"plain": "", "repeating": `,"id":"special"`} {
		s.ask(t, asked+"put", fmt.Sprintf(`{"apiVersion":"x","kind":"y","metadata":{"name":%q,"annotations":{"version":"v1"}},"spec":{"components":[{"name":"mine","type":"component","properties":{"application":{"name":"base","component":"c"}%s}}]}}`, name, id))
		s.holds(t, s.ask(t, asked+"deploy."+name, ""), `"result":"acknowledged"`)
	}
	// A component that is not the shared one may not take its id.
	s.ask(t, asked+"put", strings.Replace(manifestOf("thief", "v1"), `"properties":{`, `"properties":{"id":"special",`, 1))
	s.holds(t, s.ask(t, asked+"deploy.thief", ""), `"result":"error"`, "already deployed in a different application 'base'")
}

func namesBeyondASCIIAreRefusedInWords(t *testing.T, s *served) {
	got := s.ask(t, asked+"put", manifestOf("ünï", "v1"))
	if !strings.Contains(got, `"result":"error"`) || strings.Contains(got, "Internal") || !strings.Contains(got, "ünï") {
		t.Error(got)
	}
}

// deletedKeysAreWrittenAgain: somebody has removed a key with a tool of NATS.
func deletedKeysAreWrittenAgain(t *testing.T, s *served) {
	s.ask(t, asked+"put", manifestOf("shop", "v1"))
	kv, err := s.js.KeyValue(t.Context(), "wadm_catalog")
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), "default.default.shop"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the application is gone", func() bool { return s.ask(t, asked+"list", "") == "[]" })
	s.holds(t, s.ask(t, asked+"put", manifestOf("shop", "v2")), `"result":"created"`)
	s.want(t, asked+"deploy.shop", "", strings.ReplaceAll(acked, "v1", "v2"))
}

func annotationsMayBeMissing(t *testing.T, s *served) {
	s.holds(t, s.ask(t, asked+"put", strings.Replace(manifestOf("shop", ""), `"annotations":{},`, "", 1)), `"result":"created"`)
	s.holds(t, s.ask(t, asked+"put", "apiVersion: x\nkind: y\nmetadata: {name: cart, annotations: {}}\nspec: {components: []}\n"), `"result":"created"`)
	ctx := t.Context()
	m, err := s.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: asked + "get.cart"})
	if err != nil || !strings.Contains(string(m.Data), `"result":"success"`) {
		t.Errorf("%v %v", m, err)
	}
	if _, err := s.nc.Request(asked+"list", nil, 10*time.Second); err != nil {
		t.Error(err)
	}
}
