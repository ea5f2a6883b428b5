package conform

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// talks makes a case of nothing but requests and replies.
func talks(name, guarantee string, all ...exchange) Case {
	return Case{Name: name, Guarantee: guarantee, run: func(w *world) error { return w.talk(all...) }}
}

func subjectCases() []Case {
	unsupported := func(tail string) Case {
		return Case{Name: "unsupported " + tail, Guarantee: "a subject that means nothing is named in the refusal", run: func(w *world) error {
			return w.talk(exchange{tail: tail, want: `{"message":"Unsupported subject: wadm.api.` + w.lattice + tail + `","result":"error"}`})
		}}
	}
	return []Case{
		talks("empty list", "a lattice nobody knows has no applications",
			exchange{tail: ".model.get", want: `{"result":"success","message":"Successfully fetched list of applications","models":[]}`},
			exchange{tail: ".model.list", want: `[]`}),
		talks("no category", "what is missing in a subject is said",
			exchange{tail: "", want: `{"message":"Invalid subject: Expected to find API category","result":"error"}`}),
		talks("no operation", "what is missing in a subject is said",
			exchange{tail: ".model", want: `{"message":"Invalid subject: Expected to find operation","result":"error"}`}),
		talks("too many tokens", "a name with a dot is refused with a hint",
			exchange{tail: ".model.get.a.b", want: `{"message":"Invalid subject: Found extra components of subject, ensure your manifest name consists of only alphanumeric characters, dashes, and underscores.","result":"error"}`}),
		unsupported(".model.put.foo"), unsupported(".model.list.foo"), unsupported(".model.del"), unsupported(".model.status"), unsupported(".blah.get.foo"),
		talks("history", "the history operation is refused as it always was",
			exchange{tail: ".model.history.foo", want: `{"message":"Model deployment history is not currently supported. It may be added in a future version","result":"error"}`}),
	}
}

const yaml = `apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: app
  annotations: {version: v1}
spec:
  components:
    - name: c
      type: actor
      properties: {image: "registry.example.com/c:1"}
      traits:
        - type: spreadscaler
          properties: {replicas: 2}
`

func simple(version string) manifest {
	return application("app", version, component("c", "registry.example.com/c:1", spread(1)))
}

func putCases() []Case {
	const created = `{"result":"created","total_versions":1,"current_version":"v1","message":"Successfully put manifest app…`
	refused := func(name, body, message string) Case {
		return talks(name, "a manifest that breaks a rule is refused with the words clients know",
			exchange{tail: ".model.put", body: body, want: `{"message":` + quote(message) + `,"result":"error"}`})
	}
	twice := application("app", "v1", component("c", "a:1"), component("c", "a:1"))
	named := simple("v1")
	named.name = "with.dot"
	both := application("app", "v1", with(component("c", "a:1"), "application", object{"name": "x", "component": "y"}))
	linked := application("app", "v1", component("c", "a:1", link("nobody", "http", "i")))
	header := func(v string) []string { return []string{"Content-Type", v} }
	return []Case{
		talks("JSON", "a manifest in JSON is stored", exchange{tail: ".model.put", body: simple("v1").json(), want: created}),
		talks("YAML", "a manifest in YAML is stored", exchange{tail: ".model.put", body: yaml, want: created}),
		talks("JSON said", "a content type of JSON is honoured",
			exchange{tail: ".model.put", body: yaml, header: header("application/json"), want: `{"message":"Unable to parse manifest: …`},
			exchange{tail: ".model.put", body: simple("v1").json(), header: header("application/json"), want: created}),
		talks("YAML said", "a content type of YAML is honoured",
			exchange{tail: ".model.put", body: yaml, header: header("application/yaml"), want: created}),
		talks("other content type", "any other content type is refused by name",
			exchange{tail: ".model.put", body: yaml, header: header("text/plain"), want: `{"message":"Unable to parse manifest: Unsupported content type text/plain given. Wadm supports YAML and JSON","result":"error"}`}),
		talks("garbage", "what is no manifest is refused", exchange{tail: ".model.put", body: "hello", want: `{"message":"Unable to parse manifest: …`}),
		talks("canonical form", "old spellings come back as new ones, keys in order",
			exchange{tail: ".model.put", body: yaml, want: created},
			exchange{tail: ".model.get.app", want: `{"result":"success","message":"Successfully fetched application app","manifest":{"apiVersion":"core.oam.dev/v1beta1","kind":"Application","metadata":{"name":"app","annotations":{"version":"v1"}},"spec":{"components":[{"name":"c","type":"component","properties":{"image":"registry.example.com/c:1"},"traits":[{"type":"spreadscaler","properties":{"instances":2}}]}]}}}`}),
		talks("version made up", "a manifest without a version gets one",
			exchange{tail: ".model.put", body: simple("").json(), want: `{"result":"created","total_versions":1,"current_version":"«ULID»","message":"Successfully put manifest app…`},
			exchange{tail: ".model.put", body: simple("").json(), want: `{"result":"newversion","total_versions":2,"current_version":"«ULID»","message":"Successfully put manifest app…`}),
		talks("version twice", "a stored version is not replaced",
			exchange{tail: ".model.put", body: simple("v1").json(), want: created},
			exchange{tail: ".model.put", body: simple("v1").json(), want: `{"message":"Manifest version v1 already exists","result":"error"}`}),
		refused("version latest", simple("latest").json(), `invalid manifest version, errors: "latest is not allowed in wadm"`),
		refused("name with a dot", named.json(), "Manifest name with.dot contains invalid characters. Manifest names can only contain alphanumeric characters, dashes, and underscores."),
		talks("component twice", "a manifest that breaks a rule is refused",
			exchange{tail: ".model.put", body: twice.json(), want: `{"message":"Duplicate component name in manifest: c","result":"error"}`}),
		talks("image and application", "a manifest that breaks a rule is refused",
			exchange{tail: ".model.put", body: both.json(), want: `{"message":"Component cannot have both 'image' and 'application' properties","result":"error"}`}),
		talks("link to nobody", "a manifest that breaks a rule is refused",
			exchange{tail: ".model.put", body: linked.json(), want: `{"message":"The following capability component(s) are missing from the manifest: [\"nobody\"]","result":"error"}`}),
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

func versionCases() []Case {
	two := []exchange{
		{tail: ".model.put", body: simple("v1").json(), want: `{"result":"created"…`},
		{tail: ".model.put", body: simple("v2").json(), want: `{"result":"newversion","total_versions":2,"current_version":"v2","message":"Successfully put manifest app…`},
	}
	after := func(more ...exchange) []exchange { return append(append([]exchange{}, two...), more...) }
	v := func(version string) string { return fmt.Sprintf(`{"version":%q}`, version) }
	return []Case{
		talks("newest", "without a version the newest is meant", after(
			exchange{tail: ".model.get.app", want: `{"result":"success","message":"Successfully fetched application app","manifest":{…`},
			exchange{tail: ".model.get.app", body: "{}", want: `{"result":"success","message":"Successfully fetched application app","manifest":{…`},
			exchange{tail: ".model.get.app", body: `{"version":null}`, want: `{"result":"success","message":"Successfully fetched application app","manifest":{…`},
			exchange{tail: ".model.get.app", body: v("v1"), want: `{"result":"success","message":"Successfully fetched application app v1","manifest":{…`},
		)...),
		talks("no such version", "a version is taken literally", after(
			exchange{tail: ".model.get.app", body: v("v9"), want: `{"result":"notfound","message":"Application app with version v9 doesn't exist"}`},
			exchange{tail: ".model.get.app", body: v("latest"), want: `{"result":"notfound","message":"Application app with version latest doesn't exist"}`},
			exchange{tail: ".model.get.app", body: v(""), want: `{"result":"notfound","message":"Application app with version  doesn't exist"}`},
		)...),
		talks("no such application", "an unknown application is not found", []exchange{
			{tail: ".model.get.app", want: `{"result":"notfound","message":"Application with the name app not found"}`},
			{tail: ".model.versions.app", want: `{"result":"notfound","message":"Application with the name app not found","versions":[]}`},
			{tail: ".model.status.app", want: `{"result":"ok","message":"Successfully fetched status for application app","status":{"status":{"type":"undeployed"},"version":"","components":[]}}`},
		}...),
		talks("broken body", "an unreadable request is refused", after(
			exchange{tail: ".model.get.app", body: `{`, want: `{"message":"Unable to parse get application request: …`},
			exchange{tail: ".model.deploy.app", body: `{"version":1}`, want: `{"message":"Unable to parse deploy application request: …`},
			exchange{tail: ".model.undeploy.app", body: `[]x`, want: `{"message":"Unable to parse undeploy application request: …`},
			exchange{tail: ".model.del.app", body: `nope`, want: `{"message":"Unable to parse delete application request: …`},
		)...),
		talks("order", "versions are listed in the order they were put, with what is deployed", after(
			exchange{tail: ".model.deploy.app", body: v("v1"), want: `{"result":"acknowledged","message":"Successfully deployed application app v1","name":"app","version":"v1"}`},
			exchange{tail: ".model.versions.app", want: `{"result":"success","message":"Successfully fetched versions for application app","versions":[{"version":"v1","deployed":true},{"version":"v2","deployed":false}]}`},
		)...),
		talks("list", "a list names the newest version and the deployed one", after(
			exchange{tail: ".model.list", want: `[{"name":"app","version":"v2","description":null,"deployed_version":null,"detailed_status":{"status":{"type":"waiting","message":"Waiting for status: Lattice contains no hosts, deployment not started."},"version":"","components":[]},"status":"undeployed","status_message":"Waiting for status: Lattice contains no hosts, deployment not started."}]`},
		)...),
	}
}

func lifecycleCases() []Case {
	put := func(version string) exchange {
		return exchange{tail: ".model.put", body: simple(version).json(), want: `{"result":…`}
	}
	v := func(version string) string { return fmt.Sprintf(`{"version":%q}`, version) }
	deployed := func(body, version string) exchange {
		return exchange{tail: ".model.deploy.app", body: body, want: fmt.Sprintf(`{"result":"acknowledged","message":"Successfully deployed application app %s","name":"app","version":%q}`, version, version)}
	}
	del := func(body, result, undeploy, message string) exchange {
		return exchange{tail: ".model.del.app", body: body, want: fmt.Sprintf(`{"result":%q,"message":%s,"undeploy":%s}`, result, quote(message), undeploy)}
	}
	return []Case{
		talks("unknown", "what is not there cannot be deployed",
			exchange{tail: ".model.deploy.app", body: v("v1"), want: `{"result":"notfound","message":"Application with the name app not found","name":"app","version":"v1"}`},
			exchange{tail: ".model.undeploy.app", want: `{"result":"notfound","message":"Application with the name app not found","name":"app","version":null}`},
			del("", "noop", "false", "Application app doesn't exist or was already deleted")),
		talks("deploy", "a deploy names the version; without one, or with latest, the newest", put("v1"), put("v2"),
			deployed(v("v1"), "v1"), deployed(v("v1"), "v1"), deployed("", "v2"), deployed(v("latest"), "v2"), deployed(`{"version":null}`, "v2"),
			exchange{tail: ".model.deploy.app", body: v("v9"), want: `{"result":"error","message":"Application with the name 'app' does not have a version 'v9' to deploy","name":"app","version":"v9"}`}),
		talks("undeploy", "an undeploy is acknowledged however often", put("v1"), deployed("", "v1"),
			exchange{tail: ".model.undeploy.app", want: `{"result":"acknowledged","message":"Successfully undeployed application app","name":"app","version":null}`},
			exchange{tail: ".model.undeploy.app", body: `{"non_destructive":true}`, want: `{"result":"acknowledged","message":"Application app was already undeployed","name":"app","version":null}`}),
		talks("delete", "a version can be deleted, the deployed one and the last one undeploy", put("v1"), put("v2"), put("v3"), deployed(v("v2"), "v2"),
			del(v("v9"), "noop", "false", "Application version v9 doesn't exist"),
			del(v("v1"), "deleted", "false", "Successfully deleted version v1 of application app"),
			del(v("v2"), "deleted", "true", "Successfully deleted version v2 of application app"),
			del(v("v3"), "deleted", "true", "Successfully deleted last version of application app"),
			del("", "noop", "false", "Application app doesn't exist or was already deleted"),
			put("v1"), del("", "deleted", "true", "Successfully deleted application app")),
		{Name: "explicit id", Guarantee: "an id given by hand cannot be deployed in two applications", run: func(w *world) error {
			one := application("one", "v1", with(component("c", "a:1", spread(1)), "id", "the-id"))
			two := application("two", "v1", with(component("c", "a:1", spread(1)), "id", "the-id"))
			if err := w.deploy(one); err != nil {
				return err
			}
			if err := w.put(two); err != nil {
				return err
			}
			return w.talk(exchange{tail: ".model.deploy.two", want: `{"message":"Component identifier 'the-id' is already deployed in a different application 'one'.","result":"error"}`})
		}},
		{Name: "dashes", Guarantee: "application b-c of lattice a and application c of lattice a-b are two", Defect: "D-81", run: func(w *world) error {
			other := &world{ctx: w.ctx, nc: w.nc, lattice: w.lattice + "-b", patience: w.patience}
			m := simple("v1")
			m.name = "c"
			if err := other.put(m); err != nil {
				return err
			}
			return w.talk(exchange{tail: ".model.get.b-c", want: `{"result":"notfound","message":"Application with the name b-c not found"}`})
		}},
		{Name: "many versions", Guarantee: "an application may have any number of versions", Defect: "D-83", run: func(w *world) error {
			m := simple("")
			m.annotations = object{"description": strings.Repeat("long ", 12_000)}
			for i := range 24 {
				m.version = fmt.Sprintf("v%d", i)
				if err := w.put(m); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}

func sharedCases() []Case {
	base := func(version string, components ...object) manifest {
		m := application("base", version, components...)
		m.annotations = object{"experimental.wasmcloud.dev/shared": "true"}
		return m
	}
	server := provider("httpserver", "http:1")
	user := application("user", "v1",
		object{"name": "http", "type": "capability", "properties": object{"application": object{"name": "base", "component": "httpserver"}}, "traits": []object{link("web", "http", "i")}},
		component("web", "web:1", spread(2)))
	const unsatisfied = `{"message":"Application contains shared components that are not deployed in other applications: [\"http\"]","result":"error"}`
	return []Case{
		{Name: "order", Guarantee: "what an application shares must be deployed before it", run: func(w *world) error {
			if err := w.put(user); err != nil {
				return err
			}
			if err := w.talk(exchange{tail: ".model.deploy.user", want: unsatisfied}); err != nil {
				return err
			}
			if err := w.deploy(base("v1", server)); err != nil {
				return err
			}
			return w.talk(exchange{tail: ".model.deploy.user", want: `{"result":"acknowledged","message":"Successfully deployed application user v1","name":"user","version":"v1"}`})
		}},
		{Name: "linked", Guarantee: "a shared provider runs once and is linked under its own id", run: func(w *world) error {
			if _, err := w.hosts("zone=a", "zone=b"); err != nil {
				return err
			}
			if err := w.deploy(base("v1", server)); err != nil {
				return err
			}
			if err := w.deploy(user); err != nil {
				return err
			}
			if err := w.until(all(w.providers("base-httpserver", 1), w.providers("user-http", 0), w.total("user-web", 2), w.linked("base-httpserver http user-web "))); err != nil {
				return err
			}
			if err := w.undeploy("user"); err != nil {
				return err
			}
			return w.until(all(w.providers("base-httpserver", 1), w.total("user-web", 0), w.linked()))
		}},
		{Name: "deployed version", Guarantee: "what counts is what the deployed version of the other application shares", Defect: "D-87", run: func(w *world) error {
			if err := w.deploy(base("v1", server)); err != nil {
				return err
			}
			if err := w.put(base("v2", provider("renamed", "http:1"))); err != nil {
				return err
			}
			return w.deploy(user)
		}},
	}
}

// cloudEvent is an event as the server publishes it.
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Source      string          `json:"source"`
	ContentType string          `json:"datacontenttype"`
	Time        time.Time       `json:"time"`
	Data        json.RawMessage `json:"data"`
}

func eventCases() []Case {
	expect := func(w *world, next func() (cloudEvent, string, error), kind, data string) error {
		e, subject, err := next()
		if err != nil {
			return err
		}
		switch {
		case subject != "wadm.evt."+w.lattice+"."+kind, e.Type != "com.wadm."+kind, e.Source != "wadm", e.SpecVersion != "1.0", e.ID == "",
			e.ContentType != "application/json", time.Since(e.Time).Abs() > time.Hour:
			return fmt.Errorf("event on %s is %+v, want %s", subject, e, kind)
		case string(e.Data) != data:
			return fmt.Errorf("data of %s is %s, want %s", kind, e.Data, data)
		}
		return nil
	}
	return []Case{
		{Name: "published and unpublished", Guarantee: "deploy, undeploy and delete are announced, put is not; keys are in alphabetical order", run: func(w *world) error {
			sub, err := w.subscribe("wadm.evt." + w.lattice + ".>")
			if err != nil {
				return err
			}
			next := func() (cloudEvent, string, error) {
				m, err := w.next(sub)
				if err != nil {
					return cloudEvent{}, "", err
				}
				var e cloudEvent
				if err := json.Unmarshal(m.Data, &e); err != nil {
					return cloudEvent{}, "", fmt.Errorf("decode event: %w", err)
				}
				return e, m.Subject, nil
			}
			const (
				whole = `{"apiVersion":"core.oam.dev/v1beta1","kind":"Application","metadata":{"annotations":{"version":"v1"},"name":"app"},"spec":{"components":[{"name":"c","properties":{"image":"registry.example.com/c:1"},"traits":[{"properties":{"instances":1},"type":"spreadscaler"}],"type":"component"}]}}`
				name  = `{"name":"app"}`
			)
			for _, step := range []struct {
				do         func() error
				kind, data string
			}{
				{func() error { return w.deploy(simple("v1")) }, "manifest_published", whole},
				{func() error { return w.undeploy("app") }, "manifest_unpublished", name},
				{func() error { return w.undeploy("app") }, "manifest_unpublished", name},
				{func() error { return w.expect(".model.del.app", "", "deleted") }, "manifest_unpublished", name},
			} {
				if err := step.do(); err != nil {
					return err
				}
				if err := expect(w, next, step.kind, step.data); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}
