package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wadm/tenancy/manifest"
)

func TestScalerIDsAreThoseThatRunningWorkloadsCarry(t *testing.T) {
	t.Parallel()
	for want, parts := range map[string][]string{
		"114e8f411e21963196bad8e6c5847f6013cdb655adc22472c3026e1fab334dad": {"SpreadScaler", "my-app", "web-ui", "my_app-web_ui", "registry.example.com/ui:1.0.0"},
		"43766f3690b2d4d41105ec91300875408dce9630e6ec5faa1afff49c611b2104": {"SpreadScaler", "my-app", "web-ui", "my_app-web_ui", "registry.example.com/ui:1.0.0", "my_app-lang", "shared-cfg", "SECRET_my_app-api_key"},
		"8a63ed9cba797ef57888ce7bd6e780d0d8a40731831c1fcc031f29d1787f014b": {"DaemonScaler", "my-app", "web-ui", "my_app-web_ui", "registry.example.com/ui:1.0.0"},
		"970b67f58c0fdd234eb6e3ce8bf12dafae749be119841a8d74e947843c2de150": {"SpreadScaler", "my-app", "http", "my_app-http", "registry.example.com/http-server:0.23.0"},
		"1a95316ad82e808207d2f3743e54f9bc1fd07d98534e6d198328aea00b46ccf8": {"LinkScaler", "my-app", "default", "my_app-http", "my_app-web_ui", "wasi", "http", "incoming-handler", "my_app-addr"},
		"4d7f9a1a274e0092807b318259a0b7ad000fe82b05a5e38831fcab9fecf6dc23": {"SpreadScaler", "hello-world", "http-component", "hello_world-http_component", "registry.example/hello:0.1.0"},
		"09f4a415db3ab75667485875324626b3fba1973cf75a477417fe7de48f328980": {"DaemonScaler", "hello-world", "http-component", "hello_world-http_component", "registry.example/hello:0.1.0", "hello_world-cfg", "SECRET_hello_world-tok"},
		"766d12634af5a47ab17d7debec23ea02a46ae955078097063cea5389a1decfde": {"SpreadScaler", "hello-world", "httpserver", "hello_world-httpserver", "registry.example/http-server:0.22.0"},
		"9f9ce557bc021f4b626ed153948c4615dfdcf606473a84007d670a035b229008": {"LinkScaler", "hello-world", "default", "hello_world-httpserver", "hello_world-http_component", "wasi", "http", "incoming-handler", "hello_world-default_http"},
	} {
		if got := manifest.ScalerID(parts...); got != want {
			t.Errorf("%q: %s, want %s", parts, got, want)
		}
	}
}

const helloWorld = `
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: hello-world
  annotations:
    version: v0.1.0
    description: demo
spec:
  components:
    - name: http-component
      type: component
      properties:
        image: registry.example.com/acme/http-hello:0.1.0
      traits:
        - type: spreadscaler
          properties:
            instances: 1
    - name: httpserver
      type: capability
      properties:
        image: registry.example.com/wasmcloud/http-server:0.27.0
      traits:
        - type: link
          properties:
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            target:
              name: http-component
            source:
              config:
                - name: default-http
                  properties:
                    address: 127.0.0.1:8080
`

func parseYAML(t testing.TB, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse([]byte(text), manifest.ContentYAML, true, manifest.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifestGivesTheIDsOfItsScalers(t *testing.T) {
	t.Parallel()
	m := parseYAML(t, helloWorld)
	app := m.Metadata.Name
	component, provider := m.Component("http-component"), m.Component("httpserver")
	if got, want := manifest.SpreadID(app, component), "570d3819108629837723c0ff70dd7cdcd568002f099253a7c9e0c1682ab6a683"; got != want {
		t.Errorf("component: %s, want %s", got, want)
	}
	if got, want := manifest.SpreadID(app, provider), "ca0a55dd42a2e69847d7cfb42d7af16b5976c570e46112eb5f6ea2c7c86c4034"; got != want {
		t.Errorf("provider: %s, want %s", got, want)
	}
	if got, want := manifest.LinkID(app, provider, provider.Traits[0].Link, component), "9f9ce557bc021f4b626ed153948c4615dfdcf606473a84007d670a035b229008"; got != want {
		t.Errorf("link: %s, want %s", got, want)
	}

	web := &manifest.Component{Name: "web-ui", Properties: manifest.Properties{
		Image:   new("registry.example.com/ui:1.0.0"),
		Config:  []manifest.Config{{Name: "lang", Properties: map[string]string{}}, {Name: "shared-cfg"}},
		Secrets: []manifest.Secret{{Name: "api-key"}},
	}}
	if got, want := manifest.SpreadID("my-app", web), "43766f3690b2d4d41105ec91300875408dce9630e6ec5faa1afff49c611b2104"; got != want {
		t.Errorf("with configs and secrets: %s, want %s", got, want)
	}
	web.Properties.Config, web.Properties.Secrets = nil, nil
	if got, want := manifest.DaemonID("my-app", web), "8a63ed9cba797ef57888ce7bd6e780d0d8a40731831c1fcc031f29d1787f014b"; got != want {
		t.Errorf("daemon: %s, want %s", got, want)
	}
}

func TestIDsAreDerivedFromNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ app, component, want string }{
		{"my-app", "web-ui", "my_app-web_ui"},
		{"mymodel", "echo-component", "mymodel-echo_component"},
		{"My ThInG", "thing.wasm", "my_thing-thing_wasm"},
		{"a--b", "", "a__b-"},
		{"Ünï", "日本", "_n_-__"},
		{"\u212Aelvin", "İ", "kelvin-i_"},
	} {
		if got := manifest.ComponentID(c.app, c.component, nil); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.app, c.component, got, c.want)
		}
	}
	if got := manifest.ComponentID("any", "any", new("http_server")); got != "http_server" {
		t.Errorf("explicit id: %q", got)
	}
	shared := &manifest.Component{Name: "mine", Properties: manifest.Properties{Application: &manifest.SharedRef{Name: "Base-App", Component: "http"}}}
	if got := shared.ID("my-app"); got != "base_app-http" {
		t.Errorf("shared reference: %q", got)
	}
	if got := manifest.ConfigName("my-app", manifest.Config{Name: "a b", Properties: map[string]string{}}); got != "my_app-a_b" {
		t.Errorf("own config: %q", got)
	}
	if got := manifest.ConfigName("my-app", manifest.Config{Name: "a b"}); got != "a b" {
		t.Errorf("external config: %q", got)
	}
	if got := manifest.SecretName("my-app", manifest.Secret{Name: "api-key"}); got != "SECRET_my_app-api_key" {
		t.Errorf("secret: %q", got)
	}
}

func TestLinkFromSharedComponentBelongsToItsOwner(t *testing.T) {
	t.Parallel()
	source := &manifest.Component{Name: "s", Properties: manifest.Properties{Application: &manifest.SharedRef{Name: "base", Component: "http"}}}
	target := &manifest.Component{Name: "t", Properties: manifest.Properties{ID: new("explicit")}}
	l := &manifest.Link{Namespace: "wasi", Package: "http", Interfaces: []string{"a", "b"}, Name: new("other"),
		Source: &manifest.LinkEnd{Config: []manifest.Config{{Name: "c", Properties: map[string]string{}}}},
		Target: manifest.LinkTarget{LinkEnd: manifest.LinkEnd{Secrets: []manifest.Secret{{Name: "k"}}}}}
	want := manifest.ScalerID("LinkScaler", "base", "other", "base-http", "explicit", "wasi", "http", "a", "b", "my_app-c", "SECRET_my_app-k")
	if got := manifest.LinkID("my-app", source, l, target); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSecretIsStoredAsAReference(t *testing.T) {
	t.Parallel()
	p := manifest.Policy{Name: "nats-kv", Type: manifest.PolicySecret, Properties: map[string]string{"backend": "nats-kv", "b": "<2>", "a": "1"}}
	got, err := manifest.SecretValue(manifest.Secret{Name: "api-password", Policy: "nats-kv", Key: "pw", Version: new("2")}, p)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"name": "api-password", "type": "secret.wasmcloud.dev/v1alpha1", "backend": "nats-kv", "key": "pw", "version": "2",
		"policy": `{"type":"properties.secret.wasmcloud.dev/v1alpha1","properties":{"a":"1","b":"<2>"}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := manifest.SecretValue(manifest.Secret{}, manifest.Policy{Type: manifest.PolicySecret}); err == nil {
		t.Error("a policy without backend was taken")
	}
	if _, err := manifest.SecretValue(manifest.Secret{}, manifest.Policy{Type: "x", Properties: map[string]string{"backend": "b"}}); err == nil {
		t.Error("a policy of another type was taken")
	}
}

// everyScaler has each kind of scaler, with configs and secrets on both ends of a
// link, explicit ids and shared references.
const everyScaler = `
apiVersion: v
kind: k
metadata: {name: My-App, annotations: {version: v1}}
spec:
  policies:
  - {name: p, type: policy.secret.wasmcloud.dev/v1alpha1, properties: {backend: b, z: y}}
  components:
  - name: Web ui
    type: component
    properties:
      image: r.io/web:1
      config: [{name: c-1, properties: {a: b}}, {name: ext-2}]
      secrets: [{name: s-1, properties: {policy: p, key: k}}]
    traits:
    - {type: spreadscaler, properties: {instances: 2, spread: [{name: a, requirements: {z: a}, weight: 3}]}}
    - type: link
      properties:
        name: ln
        namespace: wasi
        package: keyvalue
        interfaces: [store, atomics]
        source: {config: [{name: sc, properties: {a: b}}], secrets: [{name: ss, properties: {policy: p, key: k}}]}
        target: {name: kv, config: [{name: tc, properties: {a: b}}, {name: tx}], secrets: [{name: ts, properties: {policy: p, key: k}}]}
  - name: dm
    type: component
    properties: {image: r.io/dm:1, id: explicit.id}
    traits:
    - {type: daemonscaler, properties: {instances: 2}}
  - name: kv
    type: capability
    properties: {image: r.io/kv:1, config: [{name: kc, properties: {}}]}
    traits:
    - {type: daemonscaler, properties: {instances: 1}}
  - name: imp
    type: capability
    properties: {image: r.io/imp:1, secrets: [{name: s-1, properties: {policy: p, key: k}}]}
    traits:
    - {type: link, properties: {namespace: a, package: b, interfaces: [c], target: sh-c}}
  - name: sh
    type: capability
    properties: {application: {name: Base-App, component: h-p}}
    traits:
    - {type: link, properties: {namespace: a, package: b, interfaces: [c], target: dm, source_config: [{name: q, properties: {x: y}}]}}
  - name: sh-c
    type: component
    properties: {application: {name: Base-App, component: c.c}}
`

// The ids are those upstream 0.21.1 reported in the status of this application.
func TestEveryKindOfScalerHasUpstreamsID(t *testing.T) {
	t.Parallel()
	m := parseYAML(t, everyScaler)
	app := m.Metadata.Name
	link := func(name string) string {
		c := m.Component(name)
		for _, tr := range c.Traits {
			if tr.Link != nil {
				return manifest.LinkID(app, c, tr.Link, m.Component(tr.Link.Target.Name))
			}
		}
		return ""
	}
	for _, c := range []struct{ what, got, want string }{
		{"spread Web ui", manifest.SpreadID(app, m.Component("Web ui")), "9212c5dc2ef156ad9a5f6e1cde39d71776792b158bdab8d3257c7267e0c1f03e"},
		{"link Web ui", link("Web ui"), "bb21c867e13d328c16d0e1a32fa8dd9fd94e92a5ca6bef70e868032f776b2cc7"},
		{"daemon dm", manifest.DaemonID(app, m.Component("dm")), "93b54f7f1ff8bded655224aa74181629bbeec3688c56db342b17ec30ece88e57"},
		{"daemon kv", manifest.DaemonID(app, m.Component("kv")), "85020f5ec021e54d2b620f5211c07b1e81f0f6726a405b37fae7d0143ec2b700"},
		{"link imp", link("imp"), "e2725005b8746193f2c2ccdef0e8b1d4dddf537a4e72d09017747ffdea8e92c4"},
		{"spread imp", manifest.SpreadID(app, m.Component("imp")), "f1a71edb36ea7d76c8bc8f42c0828ca0d94c495550463870e14ccd5afc5fcf8f"},
		{"link sh", link("sh"), "ddd62ed548d482f81c631df087e51fc7ffa20a2abea7c32ffce004a666bed576"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
}
