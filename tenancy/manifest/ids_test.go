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
