package conform

import (
	"encoding/json"
	"fmt"
	"time"

	"wadm/loadtest/simhost"
)

func linkCases() []Case {
	two := func(traits ...object) manifest {
		return application("app", "v1", component("a", "a:1", append([]object{spread(1)}, traits...)...), component("b", "b:1", spread(1)))
	}
	return []Case{
		{Name: "application", Guarantee: "components, providers, links and configurations of an application come up together", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a", "zone=b"}, shop("v1", "web:1"), func() string { return w.shopRuns("web:1")() }); err != nil {
				return err
			}
			if err := w.statusIs("shop", "deployed", ""); err != nil {
				return err
			}
			return w.clean()
		}},
		{Name: "two packages", Guarantee: "two links between the same ends with different packages are two links", Defect: "D-12", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a"}, two(link("b", "http", "i")), func() string { return w.linked("app-a http app-b ")() }); err != nil {
				return err
			}
			m := two(link("b", "http", "i"), link("b", "store", "j"))
			m.version = "v2"
			if err := w.deploy(m); err != nil {
				return err
			}
			return w.until(w.linked("app-a http app-b ", "app-a store app-b "))
		}},
		{Name: "deleted by hand", Guarantee: "a link that is deleted is put again", run: func(w *world) error {
			want := func() string { return w.linked("app-a http app-b ")() }
			if err := w.deployed([]string{"zone=a"}, two(link("b", "http", "i")), want); err != nil {
				return err
			}
			if err := w.operator("link.del", `{"source_id":"app-a","name":"default","wit_namespace":"test","wit_package":"http"}`); err != nil {
				return err
			}
			return w.until(want)
		}},
		{Name: "changed configuration of a link", Guarantee: "a link is replaced when it names other configurations", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a"}, two(link("b", "http", "i", config("one", "k", "v"))), func() string { return w.linked("app-a http app-b app-one")() }); err != nil {
				return err
			}
			m := two(link("b", "http", "i", config("two", "k", "v")))
			m.version = "v2"
			if err := w.deploy(m); err != nil {
				return err
			}
			return w.until(all(w.linked("app-a http app-b app-two"), w.configured(map[string]map[string]string{"app-two": {"k": "v"}})))
		}},
		{Name: "changed value", Guarantee: "a changed value of a configuration is stored, nothing is restarted", run: func(w *world) error {
			m := func(version, value string) manifest {
				return application("app", version, with(component("c", "c:1", spread(1)), "config", []object{config("conf", "k", value)}))
			}
			if err := w.deployed([]string{"zone=a"}, m("v1", "old"), func() string { return w.total("app-c", 1)() }); err != nil {
				return err
			}
			if err := w.deploy(m("v2", "new")); err != nil {
				return err
			}
			return w.until(all(w.total("app-c", 1), w.configured(map[string]map[string]string{"app-conf": {"k": "new"}})))
		}},
		{Name: "several configurations", Guarantee: "nothing starts before all its configurations are there", Defect: "D-15", run: func(w *world) error {
			m := application("app", "v1", with(component("c", "c:1", spread(1)), "config", []object{config("one", "k", "1"), config("two", "k", "2"), config("three", "k", "3")}))
			if err := w.deployed([]string{"zone=a"}, m, func() string { return w.total("app-c", 1)() }); err != nil {
				return err
			}
			if n := w.sim.Stats().Events["component_scale_failed"]; n > 0 {
				return fmt.Errorf("%d starts failed", n)
			}
			return nil
		}},
		{Name: "configuration of others", Guarantee: "a configuration the application does not own is used and never touched", run: func(w *world) error {
			if _, err := w.hosts("zone=a"); err != nil {
				return err
			}
			if err := w.sim.SeedConfig("theirs", map[string]string{"k": "v"}); err != nil {
				return err
			}
			m := application("app", "v1", with(component("c", "c:1", spread(1)), "config", []object{outside("theirs"), config("ours", "k", "v")}))
			if err := w.deployed(nil, m, func() string { return w.total("app-c", 1)() }); err != nil {
				return err
			}
			if err := w.undeploy("app"); err != nil {
				return err
			}
			if err := w.until(all(w.total("app-c", 0), w.configured(map[string]map[string]string{"theirs": {"k": "v"}}))); err != nil {
				return err
			}
			return w.clean()
		}},
		{Name: "secrets", Guarantee: "a secret is stored as a reference under its own name", run: func(w *world) error {
			c := with(component("c", "c:1", spread(1)), "secrets", []object{{"name": "tok", "properties": object{"policy": "vault", "key": "path/tok", "field": "f"}}})
			m := application("my-app", "v1", c)
			m.policies = []object{{"name": "vault", "type": "policy.secret.wasmcloud.dev/v1alpha1", "properties": object{"backend": "vault-prod", "mount": "kv"}}}
			return w.deployed([]string{"zone=a"}, m, func() string {
				return either(w.total("my_app-c", 1)(), w.configured(map[string]map[string]string{"SECRET_my_app-tok": {
					"name": "tok", "type": "secret.wasmcloud.dev/v1alpha1", "backend": "vault-prod", "key": "path/tok", "field": "f",
					"policy": `{"type":"properties.secret.wasmcloud.dev/v1alpha1","properties":{"mount":"kv"}}`,
				}})())
			})
		}},
	}
}

func changeCases() []Case {
	hosts := []string{"zone=a", "zone=b", "zone=c"}
	return []Case{
		{Name: "undeploy", Guarantee: "an undeploy leaves nothing", run: func(w *world) error {
			if err := w.deployed(hosts, shop("v1", "web:1"), func() string { return w.shopRuns("web:1")() }); err != nil {
				return err
			}
			if err := w.undeploy("shop"); err != nil {
				return err
			}
			if err := w.until(w.empty); err != nil {
				return err
			}
			return w.clean()
		}},
		{Name: "delete", Guarantee: "a delete leaves nothing", run: func(w *world) error {
			if err := w.deployed(hosts, shop("v1", "web:1"), func() string { return w.shopRuns("web:1")() }); err != nil {
				return err
			}
			if err := w.expect(".model.del.shop", "", "deleted"); err != nil {
				return err
			}
			return w.until(w.empty)
		}},
		{Name: "new image", Guarantee: "a new image replaces the old one everywhere, in place: nothing is stopped", Defect: "D-17", run: func(w *world) error {
			if err := w.deployed(hosts, shop("v1", "web:1"), func() string { return w.shopRuns("web:1")() }); err != nil {
				return err
			}
			begin := time.Now()
			if err := w.deploy(shop("v2", "web:2")); err != nil {
				return err
			}
			if err := w.until(w.shopRuns("web:2")); err != nil {
				return err
			}
			for _, r := range w.commands("shop-web", begin) {
				var b struct {
					Count int `json:"count"`
				}
				if r.Kind == "component.scale" && json.Unmarshal(r.Body, &b) == nil && b.Count == 0 {
					return fmt.Errorf("stopped on the way: %s %s", r.Kind, r.Body)
				}
			}
			return w.clean()
		}},
		{Name: "configuration kept", Guarantee: "a configuration that both versions use is never deleted on the way", Defect: "D-14", run: func(w *world) error {
			if err := w.deployed(hosts, shop("v1", "web:1"), func() string { return w.shopRuns("web:1")() }); err != nil {
				return err
			}
			begin := time.Now()
			if err := w.deploy(shop("v2", "web:2")); err != nil {
				return err
			}
			if err := w.until(func() string {
				return either(w.total("shop-web", 3)(), w.configured(map[string]map[string]string{"shop-web_conf": {"log": "info"}, "shop-address": {"address": "0.0.0.0:80"}})())
			}); err != nil {
				return err
			}
			for _, r := range w.commands("shop-web_conf", begin) {
				if r.Kind == "config.del" {
					return fmt.Errorf("deleted on the way by %s", r.Subject)
				}
			}
			return nil
		}},
		{Name: "new image of a provider", Guarantee: "a provider with a new image is replaced", run: func(w *world) error {
			m := func(version, image string) manifest {
				return application("app", version, provider("p", image, spread(2)))
			}
			if err := w.deployed([]string{"zone=a", "zone=b"}, m("v1", "p:1"), w.providersCheck("app-p", 2)); err != nil {
				return err
			}
			if err := w.deploy(m("v2", "p:2")); err != nil {
				return err
			}
			return w.until(all(w.providers("app-p", 2), w.images("app-p", "p:2")))
		}},
		{Name: "removed component", Guarantee: "what a new version no longer has goes, with its links and configurations", run: func(w *world) error {
			if err := w.deployed(hosts, shop("v1", "web:1"), func() string { return w.shopRuns("web:1")() }); err != nil {
				return err
			}
			if err := w.deploy(application("shop", "v2", component("web", "web:1", spread(3)))); err != nil {
				return err
			}
			return w.until(all(w.total("shop-web", 3), w.providers("shop-http", 0), w.providers("shop-store", 0), w.linked(), w.configured(map[string]map[string]string{})))
		}},
		{Name: "rollback", Guarantee: "an older version can be deployed again", run: func(w *world) error {
			m := func(version, image string, n int) manifest {
				return application("app", version, component("c", image, spread(n)))
			}
			if err := w.deployed([]string{"zone=a"}, m("v1", "c:1", 2), func() string { return w.total("app-c", 2)() }); err != nil {
				return err
			}
			if err := w.deploy(m("v2", "c:2", 4)); err != nil {
				return err
			}
			if err := w.until(all(w.total("app-c", 4), w.images("app-c", "c:2"))); err != nil {
				return err
			}
			if err := w.expect(".model.deploy.app", `{"version":"v1"}`, "acknowledged"); err != nil {
				return err
			}
			return w.until(all(w.total("app-c", 2), w.images("app-c", "c:1")))
		}},
		{Name: "undeploy after a relabelling", Guarantee: "an undeploy also removes what runs where it no longer belongs", Defect: "D-09", run: func(w *world) error {
			hs, err := w.hosts("zone=a", "zone=b", "zone=c")
			if err != nil {
				return err
			}
			m := application("app", "v1", component("c", "c:1", daemon(1, "a zone=a", "b zone=b", "c zone=c")), component("d", "d:1", daemon(2)))
			if err := w.deployed(nil, m, func() string { return w.total("app-c", 3)() }); err != nil {
				return err
			}
			if err := hs[0].Relabel(parseLabels("zone=z")); err != nil {
				return err
			}
			if err := w.undeploy("app"); err != nil {
				return err
			}
			return w.until(w.empty)
		}},
		{Name: "failed start", Guarantee: "an image that cannot be had is reported with the host's words, and tried again", run: func(w *world) error {
			tried := 0
			cfg := simhost.Config{Images: func(string) simhost.Image {
				if tried++; tried <= 2 {
					return simhost.Image{FetchError: "registry is tired"}
				}
				return simhost.Image{}
			}}
			if _, err := w.hostsWith(cfg, "zone=a"); err != nil {
				return err
			}
			if err := w.deploy(application("app", "v1", component("c", "c:1", spread(1)))); err != nil {
				return err
			}
			if err := w.statusIs("app", "failed", "registry is tired"); err != nil {
				return err
			}
			return w.until(w.total("app-c", 1))
		}},
	}
}

func robustCases() []Case {
	answers := func(w *world) error {
		return w.talk(exchange{tail: ".model.list", want: `[…`})
	}
	return []Case{
		{Name: "odd events", Guarantee: "events that mean nothing disturb nobody", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a"}, simple("v1"), func() string { return w.total("app-c", 1)() }); err != nil {
				return err
			}
			for _, body := range []string{``, `{`, `null`, `[]`, `{"specversion":"1.0","type":"com.wasmcloud.lattice.host_heartbeat","source":"x","id":"1","data":{"components":5}}`} {
				if err := w.nc.Publish("wasmbus.evt."+w.lattice+".host_heartbeat", []byte(body)); err != nil {
					return err
				}
			}
			if err := w.sim.Hosts()[0].RemoveComponent("app-c"); err != nil {
				return err
			}
			return w.until(w.total("app-c", 1))
		}},
		{Name: "odd requests", Guarantee: "a request of any bytes is answered", run: func(w *world) error {
			for _, body := range []string{"\x00\xff", "- - -", "{{", "&a [*a]"} {
				if err := w.expect(".model.put", body, "error"); err != nil {
					return err
				}
			}
			return answers(w)
		}},
		{Name: "link that is no text", Guarantee: "a link whose namespace is no text is refused", Defect: "D-82", run: func(w *world) error {
			body := `{"apiVersion":"core.oam.dev/v1beta1","kind":"Application","metadata":{"name":"app","annotations":{}},"spec":{"components":[` +
				`{"name":"a","type":"component","properties":{"image":"a:1"},"traits":[{"type":"link","properties":{"namespace":5,"package":"p","interfaces":["i"],"target":{"name":"a"}}}]}]}}`
			if err := w.expect(".model.put", body, "error"); err != nil {
				return err
			}
			return answers(w)
		}},
		{Name: "weights of zero", Guarantee: "spreads whose weights are all zero are equal", Defect: "D-04", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a", "zone=b"}, application("app", "v1", component("c", "c:1", spread(4, "a 0 zone=a", "b 0 zone=b"))),
				func() string { return w.runs("app-c", "zone", "a:2 b:2")() }); err != nil {
				return err
			}
			return answers(w)
		}},
	}
}
