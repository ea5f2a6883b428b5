package config_test

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/config"
)

var update = flag.Bool("update", false, "rewrite the reference page")

func TestReferencePageIsCurrent(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "docs", "reference", "configuration.md")
	want := config.Reference()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("the page differs from the table of options; run go generate ./config (-want +got):\n%s", d)
	}
}

// leaves lists the fields of a configuration with their values.
func leaves(c config.Config) map[string]any {
	out := map[string]any{}
	var walk func(string, reflect.Value)
	walk = func(name string, v reflect.Value) {
		if v.Kind() != reflect.Struct {
			out[name] = v.Interface()
			return
		}
		for i := range v.NumField() {
			walk(name+"."+v.Type().Field(i).Name, v.Field(i))
		}
	}
	walk("", reflect.ValueOf(c))
	return out
}

// sample is a valid value that is not the default.
func sample(t *testing.T, o config.Option) string {
	t.Helper()
	switch o.Kind {
	case config.KindBool:
		return "true"
	case config.KindEnum:
		for _, v := range o.Values {
			if v != o.Default {
				return v
			}
		}
	case config.KindNumber, config.KindCount:
		return "3"
	case config.KindBytes:
		return "4096"
	case config.KindDuration:
		return "17s"
	}
	switch o.Key {
	case "tracing.endpoint":
		return "http://collector:4318"
	case "admin.address":
		return "127.0.0.1:8080"
	}
	return "sample"
}

// TestEveryOptionIsOneFieldBySourceOfAnyKind shows that the table and Config
// are complete, and that flag, variable and file mean the same.
func TestEveryOptionIsOneFieldBySourceOfAnyKind(t *testing.T) {
	t.Parallel()
	base, _, err := config.Load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	for _, o := range config.Options() {
		if o.Key == "" {
			continue
		}
		v := sample(t, o)
		// Seed and JWT need each other.
		var partner string
		switch o.Key {
		case "nats.seed":
			partner = "nats.jwt"
		case "nats.jwt":
			partner = "nats.seed"
		}
		var args, environ []string
		doc := map[string]string{o.Key: v}
		args, environ = append(args, "--"+o.Long+"="+v), append(environ, o.Env+"="+v)
		for _, p := range config.Options() {
			if partner != "" && p.Key == partner {
				args, environ = append(args, "--"+p.Long+"=sample"), append(environ, p.Env+"=sample")
				doc[p.Key] = "sample"
			}
		}
		file := write(t, yamlOf(doc))

		byFlag, _, err := config.Load(args, nil)
		if err != nil {
			t.Errorf("%s by flag: %v", o.Long, err)
			continue
		}
		byEnv, warnings, err := config.Load(nil, environ)
		if err != nil || (len(warnings) == 1) != o.Ignored {
			t.Errorf("%s by variable: %v %v", o.Env, err, warnings)
			continue
		}
		byFile, _, err := config.Load([]string{"--config", file}, nil)
		if err != nil {
			t.Errorf("%s by file: %v", o.Key, err)
			continue
		}
		if d := cmp.Diff(byFlag, byEnv) + cmp.Diff(byFlag, byFile); d != "" {
			t.Errorf("%s: sources disagree:\n%s", o.Key, d)
		}
		changed := 0
		before := leaves(base)
		for name, value := range leaves(byFlag) {
			if before[name] != value {
				covered[name] = true
				changed++
			}
		}
		if want := len(doc); changed != want {
			t.Errorf("%s changed %d fields, want %d", o.Key, changed, want)
		}
		if err := byFlag.Validate(); err != nil {
			t.Errorf("%s: %v", o.Key, err)
		}
		if o.Short == "" || o.Kind == config.KindBool {
			continue
		}
		byShort, _, err := config.Load([]string{"-" + o.Short, v}, nil)
		if err != nil || byShort != byFlag {
			t.Errorf("-%s: %v, %s", o.Short, err, cmp.Diff(byFlag, byShort))
		}
	}
	for name := range leaves(base) {
		if !covered[name] {
			t.Errorf("no option sets Config%s", name)
		}
	}
}

func yamlOf(doc map[string]string) string {
	groups := map[string]string{}
	for key, v := range doc {
		g, name, nested := strings.Cut(key, ".")
		if !nested {
			g, name = "", key
		}
		indent := ""
		if nested {
			indent = "  "
		}
		groups[g] += fmt.Sprintf("%s%s: %s\n", indent, name, v)
	}
	text := groups[""]
	for g, lines := range groups {
		if g != "" {
			text += g + ":\n" + lines
		}
	}
	return text
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wadm.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEveryOptionIsReadOrSaysThatItIsNot: an option that the server does not read
// would be ignored without a word.
func TestEveryOptionIsReadOrSaysThatItIsNot(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "cmd", "wadm", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var server strings.Builder
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		server.Write(text)
	}
	// Fields that have a method are read by it.
	methods := map[string]string{
		".Log.Format": ".Log.JSON", ".Log.Structured": ".Log.JSON", ".API.ReplyPrefixes": ".API.Inboxes",
		".Storage.Persistence": ".Storage.InMemory", ".Storage.StreamPrefix": ".Storage.Stream",
	}
	base, _, err := config.Load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := leaves(base)
	for _, o := range config.Options() {
		// Seed and JWT need each other.
		if o.Key == "" || o.Key == "nats.seed" || o.Key == "nats.jwt" {
			continue
		}
		set, _, err := config.Load([]string{"--" + o.Long + "=" + sample(t, o)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for field, v := range leaves(set) {
			if v == before[field] {
				continue
			}
			if m, ok := methods[field]; ok {
				field = m
			}
			read := regexp.MustCompile(`cfg` + regexp.QuoteMeta(field) + `\b`).MatchString(server.String())
			if read == o.Ignored {
				t.Errorf("--%s: Ignored is %t, but whether cmd/wadm reads cfg%s is %t", o.Long, o.Ignored, field, read)
			}
		}
	}
}

func TestDefaultsAreUpstreams(t *testing.T) {
	t.Parallel()
	cfg, warnings, err := config.Load(nil, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	want := config.Config{
		CleanupInterval: 70 * time.Second,
		DrainTimeout:    20 * time.Second,
		Log:             config.Log{Level: "info"},
		NATS:            config.NATS{Server: "127.0.0.1:4222", InboxPrefix: "_INBOX", StartTimeout: 30 * time.Second},
		API:             config.API{Prefix: "wadm.api"},
		Storage: config.Storage{
			Replicas: 1, Persistence: "file", StateBucket: "wadm_state", ManifestBucket: "wadm_manifests",
			StateBucketMaxBytes: -1, ManifestBucketMaxBytes: -1, CommandStreamMaxBytes: -1, EventStreamMaxBytes: -1,
			EventConsumerStreamMaxBytes: -1, StatusStreamMaxBytes: -1, NotifyStreamMaxBytes: -1, WasmbusEventStreamMaxBytes: -1,
		},
		Events:   config.Events{AckWait: 30 * time.Second, MaxAckPending: 16},
		Commands: config.Commands{Deadline: 2 * time.Minute},
	}
	if d := cmp.Diff(want, cfg); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, config.Config{}.WithDefaults()); d != "" {
		t.Errorf("WithDefaults (-want +got):\n%s", d)
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFlagsWinOverVariablesOverFileOverDefaults(t *testing.T) {
	t.Parallel()
	file := write(t, "api:\n  prefix: from.file\nstorage:\n  replicas: 3\nmax_jobs: 7\nlog:\n  level: warn\n")
	environ := []string{"WADM_CONFIG_FILE=" + file, "WADM_API_PREFIX=from.env", "WADM_MAX_JOBS=8", "RUST_LOG=debug"}
	cfg, _, err := config.Load([]string{"--api-prefix", "from.flag"}, environ)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{cfg.API.Prefix, cfg.MaxJobs, cfg.Storage.Replicas, cfg.Log.Level, cfg.Events.AckWait}
	if d := cmp.Diff([]any{"from.flag", 8, 3, "warn", 30 * time.Second}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	// A flag at its default still wins, and the flag for the file wins over the variable.
	cfg, _, err = config.Load([]string{"--max-jobs=unlimited", "--structured-logging=false", "--config", write(t, "log: {structured: true}")}, environ)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.MaxJobs != 0 || cfg.Log.Structured || cfg.Storage.Replicas != 1 {
		t.Errorf("got %+v", cfg)
	}
}

func TestMistakesAreNamedAndClassified(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(secret, []byte("SUSEED\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	usage, invalid := config.ErrUsage, config.ErrInvalid
	tests := map[string]struct {
		args, environ []string
		file          string
		kind          error
		want          []string
	}{
		"unknown flag":             {args: []string{"--nats-sever", "x"}, kind: usage, want: []string{"--nats-sever", "--nats-server"}},
		"unknown short flag":       {args: []string{"-x"}, kind: usage, want: []string{"x"}},
		"flag without value":       {args: []string{"--nats-server"}, kind: usage, want: []string{"nats-server"}},
		"flag twice":               {args: []string{"-s", "a", "-s", "b"}, kind: usage, want: []string{"--nats-server", "more than once"}},
		"argument":                 {args: []string{"run"}, kind: usage, want: []string{"run"}},
		"bad number by flag":       {args: []string{"--max-jobs", "many"}, kind: usage, want: []string{"--max-jobs", "many"}},
		"jobs of zero":             {args: []string{"--max-jobs", "0"}, kind: usage, want: []string{"1 or more"}},
		"bad boolean":              {environ: []string{"WADM_MULTITENANT=yes"}, kind: usage, want: []string{"WADM_MULTITENANT", "yes", "true, false, 1 or 0"}},
		"empty counts as set":      {environ: []string{"WADM_CLEANUP_INTERVAL="}, kind: usage, want: []string{"WADM_CLEANUP_INTERVAL"}},
		"enum":                     {environ: []string{"WADM_STREAM_PERSISTENCE=memroy"}, kind: usage, want: []string{"memroy", `did you mean "memory"`}},
		"enum in other case":       {args: []string{"--stream-persistence", "File"}, kind: usage, want: []string{`"File"`}},
		"negative duration":        {environ: []string{"WADM_CLEANUP_INTERVAL=-1"}, kind: usage, want: []string{"duration"}},
		"cleanup of zero":          {environ: []string{"WADM_CLEANUP_INTERVAL=0"}, kind: usage, want: []string{"1s to 24h"}},
		"host name as address":     {args: []string{"--http-admin", "localhost:80"}, kind: usage, want: []string{"ip:port"}},
		"seed alone":               {args: []string{"--nats-seed", "SUSEED"}, kind: usage, want: []string{"--nats-jwt"}},
		"seed with creds":          {args: []string{"--nats-seed", "a", "--nats-jwt", "b", "--nats-creds-file", "c"}, kind: usage, want: []string{"together"}},
		"seed in file, creds flag": {args: []string{"--nats-creds-file", "c"}, file: "nats: {seed: a, jwt: b}", kind: invalid, want: []string{"together"}},
		"two copies":               {args: []string{"--replicas", "2"}, kind: usage, want: []string{"--replicas", "1, 3 or 5"}},
		"more copies than can be":  {environ: []string{"WADM_REPLICAS=7"}, kind: usage, want: []string{"WADM_REPLICAS", "1, 3 or 5"}},
		"four copies by file":      {file: "storage: {replicas: 4}\n", kind: invalid, want: []string{":1:21:", "1, 3 or 5"}},
		"several at once": {environ: []string{"WADM_REPLICAS=9", "WADM_API_PREFIX=a..b"}, kind: usage,
			want: []string{"WADM_REPLICAS", "WADM_API_PREFIX"}},
		"wildcard in prefix":        {args: []string{"--api-prefix", "wadm.*"}, kind: usage, want: []string{"--api-prefix"}},
		"secret and its file":       {environ: []string{"WADM_NATS_NKEY=SUSECRET", "WADM_NATS_NKEY_FILE=" + secret}, kind: usage, want: []string{"WADM_NATS_NKEY_FILE"}},
		"secret file missing":       {environ: []string{"WADM_NATS_NKEY_FILE=/does/not/exist"}, kind: usage, want: []string{"WADM_NATS_NKEY_FILE", "/does/not/exist"}},
		"file missing":              {args: []string{"--config", "/does/not/exist.yaml"}, kind: invalid, want: []string{"/does/not/exist.yaml"}},
		"unknown key":               {file: "# c\nmax_jbos: 3\n", kind: invalid, want: []string{`wadm.yaml:2:1: unknown key "max_jbos"`, `did you mean "max_jobs"`}},
		"unknown key in a group":    {file: "nats:\n  sever: x\n", kind: invalid, want: []string{":2:3:", `"nats.server"`}},
		"key in wrong group":        {file: "storage:\n  inbox_prefix: x\n", kind: invalid, want: []string{`did you mean "nats.inbox_prefix"`}},
		"flag name as key":          {file: "storage:\n  state_bucket_name: x\n", kind: invalid, want: []string{`did you mean "storage.state_bucket"`}},
		"bad value in file":         {file: "storage:\n  replicas: seven\n", kind: invalid, want: []string{":2:13: storage.replicas", "seven"}},
		"list in file":              {file: "max_jobs: [1]\n", kind: invalid, want: []string{":1:11:", "single value"}},
		"scalar for group":          {file: "nats: x\n", kind: invalid, want: []string{":1:7:", "below nats"}},
		"key twice":                 {file: "max_jobs: 1\nmax_jobs: 2\n", kind: invalid, want: []string{":2:1:", "twice"}},
		"two documents":             {file: "max_jobs: 1\n---\nmax_jobs: 2\n", kind: invalid, want: []string{"second document"}},
		"broken YAML":               {file: "a: [\n", kind: invalid, want: []string{"line"}},
		"root is a list":            {file: "- a\n", kind: invalid, want: []string{":1:1:"}},
		"alias as value":            {file: "api: &a\n  prefix: x\nnats: *a\n", kind: invalid, want: []string{":3:7:"}},
		"file and variable at once": {file: "nope: 1\n", environ: []string{"WADM_REPLICAS=9"}, kind: invalid, want: []string{"nope", "WADM_REPLICAS"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := tt.args
			if tt.file != "" {
				args = append([]string{"--config", write(t, tt.file)}, args...)
			}
			_, _, err := config.Load(args, tt.environ)
			if !errors.Is(err, tt.kind) {
				t.Fatalf("got %v, want a %v", err, tt.kind)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not mention %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "SUSE") {
				t.Errorf("error %q shows a secret", err)
			}
		})
	}
}

func TestUpstreamSpellingsWork(t *testing.T) {
	t.Parallel()
	cfg, _, err := config.Load([]string{"-lt", "-d", "hub", "-sexample.com", "-j=4", "-e", "http://c:4318",
		"--event-stream-max-bytes=-1", "--api-prefix", " .my.api. ", "--cleanup-interval", "120", "--stream-prefix", "wadm.>", "-i", "me", "--multitenant"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.Log.JSON() || !cfg.Tracing.Enabled || cfg.NATS.JetStreamDomain != "hub" || cfg.NATS.Server != "example.com" ||
		cfg.MaxJobs != 4 || cfg.CleanupInterval != 2*time.Minute || cfg.HostID != "me" || cfg.API.Prefix != "my.api" || !cfg.Multitenant {
		t.Errorf("got %+v", cfg)
	}
}

func TestDurationsTakeSecondsOrUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"70": 70 * time.Second, "70s": 70 * time.Second, "1m": time.Minute, "1m10s": 70 * time.Second, "1500ms": 1500 * time.Millisecond} {
		cfg, _, err := config.Load(nil, []string{"WADM_CLEANUP_INTERVAL=" + text})
		if err != nil || cfg.CleanupInterval != want {
			t.Errorf("%q: got %v, %v", text, cfg.CleanupInterval, err)
		}
	}
}

func TestHelpAndVersionWinOverABadEnvironment(t *testing.T) {
	t.Parallel()
	bad := []string{"WADM_REPLICAS=x"}
	for _, arg := range []string{"-h", "--help"} {
		if _, _, err := config.Load([]string{arg}, bad); !errors.Is(err, config.ErrHelp) {
			t.Errorf("%s: got %v", arg, err)
		}
	}
	for _, arg := range []string{"-V", "--version"} {
		if _, _, err := config.Load([]string{arg}, bad); !errors.Is(err, config.ErrVersion) {
			t.Errorf("%s: got %v", arg, err)
		}
	}
	if !strings.Contains(config.Help(), "-s, --nats-server <TEXT>") || strings.Contains(config.Help(), "max-bytes") {
		t.Errorf("help is\n%s", config.Help())
	}
}

func TestUnknownVariablesWarnAndForeignOnesDoNot(t *testing.T) {
	t.Parallel()
	_, warnings, err := config.Load(nil, []string{
		"WADM_VERSION=v0.21.0", "WADM_JS_DOMAIN=x", "WADM_MANIFEST=x", "WADM_PORT=tcp://1.2.3.4:80", "WADM_PORT_80_TCP_ADDR=x",
		"WADM_SERVICE_HOST=x", "WADM_SERVICE_PORT_HTTP=x", "WADM_METRICS_SERVICE_HOST=x", "WADM_METRICS_PORT_80_TCP=x",
		"WADM_MAX_JOB=3", "WADM_NATS_SEED=x", "PATH=/bin", "WASMCLOUD_X=1", "RUST_LOG=tower=trace",
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.String())
	}
	want := []string{
		"WADM_MAX_JOB: unknown variable, ignored; the nearest known one is WADM_MAX_JOBS",
		"WADM_NATS_SEED: unknown variable, ignored; the nearest known one is WADM_NATS_NKEY",
		"RUST_LOG: names no log level for wadm, ignored; use WADM_LOG_LEVEL",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRustLogNamesTheLevelOfLastResort(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"debug": "debug", "trace": "debug", "warn,wadm=error": "error", "async_nats=debug,WARN": "warn", "off": "error", "": "info", "x=debug": "info"} {
		cfg, _, err := config.Load(nil, []string{"RUST_LOG=" + value})
		if err != nil || cfg.Log.Level != want {
			t.Errorf("%q: got %q, %v, want %q", value, cfg.Log.Level, err, want)
		}
	}
	cfg, warnings, err := config.Load([]string{"--log-level=error"}, []string{"RUST_LOG=x=y"})
	if err != nil || cfg.Log.Level != "error" || len(warnings) > 0 {
		t.Errorf("got %q, %v, %v", cfg.Log.Level, warnings, err)
	}
}

func TestSecretsComeFromFilesAndAreNeverShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"seed": "SUPRIVATE\n", "jwt": " eyPRIVATE \n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, warnings, err := config.Load([]string{"-s", "nats://joe:PRIVATE@h:4222,tok@i"}, []string{"WADM_NATS_NKEY_FILE=" + dir + "/seed", "WADM_NATS_JWT_FILE=" + dir + "/jwt"})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if cfg.NATS.Seed != "SUPRIVATE" || cfg.NATS.JWT != "eyPRIVATE" {
		t.Errorf("got %q, %q", cfg.NATS.Seed, cfg.NATS.JWT)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("started", "config", cfg)
	if strings.Contains(log.String(), "PRIVATE") || !strings.Contains(log.String(), "nats://(hidden)@h:4222,(hidden)@i") {
		t.Errorf("log line is %s", log.String())
	}
}

func TestValidateReportsEverythingAndTouchesNothing(t *testing.T) {
	t.Parallel()
	cfg := config.Config{API: config.API{Prefix: "a b"}, Log: config.Log{Level: "loud"}, NATS: config.NATS{Seed: "S"}}
	before := cfg
	full := cfg.WithDefaults()
	if cfg != before {
		t.Error("WithDefaults changed its receiver")
	}
	full.Storage.Replicas = 6
	err := full.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"api.prefix", "log.level", "storage.replicas", "nats.jwt"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%q does not mention %s", err, key)
		}
	}
}

func TestReplyPrefixesAreNoSubjectsOfCommands(t *testing.T) {
	t.Parallel()
	cfg, _, err := config.Load([]string{"--api-reply-prefixes", " acme.inbox., _two ,three.>"}, nil)
	if err == nil {
		t.Errorf("a wildcard is accepted: %q", cfg.API.Inboxes())
	}
	cfg, _, err = config.Load([]string{"--api-reply-prefixes", " acme.inbox., _two "}, nil)
	if d := cmp.Diff([]string{"acme.inbox", "_two"}, cfg.API.Inboxes()); err != nil || d != "" {
		t.Errorf("%v, %s", err, d)
	}
	if cfg, _, err := config.Load(nil, []string{"WADM_API_REPLY_PREFIXES="}); err != nil || cfg.API.Inboxes() != nil {
		t.Errorf("%q, %v", cfg.API.Inboxes(), err)
	}
	for _, bad := range []string{",", "a,", "wasmbus", "a,wasmbus.ctl.v1", "wadm.cmd", "$JS.API", "acme", "acme.api", "acme.api.default"} {
		if _, _, err := config.Load([]string{"--api-prefix=acme.api", "--api-reply-prefixes", bad}, nil); !errors.Is(err, config.ErrInvalid) && !errors.Is(err, config.ErrUsage) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestStreamPrefixMakesNamesJetStreamAccepts(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{"": "wadm_status", "wadm": "wadm_wadm_status", "wadm.": "wadm_wadm_status", "a.b.>": "a_b_wadm_status", "*": "wadm_status"} {
		if got := (config.Storage{StreamPrefix: prefix}).Stream("wadm_status"); got != want {
			t.Errorf("%q: got %q, want %q", prefix, got, want)
		}
	}
}

func FuzzFileNeverPanicsAndIsRepeatable(f *testing.F) {
	f.Add("max_jobs: 3\nnats:\n  server: a\n")
	f.Add("a: &a [*a]\n")
	f.Add("<<: {max_jobs: 1}\n? [a]\n: b\n")
	f.Add("--- \n...\n")
	f.Add("max_jobs: !!binary aGk=\nlog: ~\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := write(t, text)
		a, _, err1 := config.Load([]string{"--config", path}, nil)
		b, _, err2 := config.Load([]string{"--config", path}, nil)
		if a != b || fmt.Sprint(err1) != fmt.Sprint(err2) {
			t.Errorf("loaded twice: %v %v and %v %v", a, err1, b, err2)
		}
		if err1 == nil {
			if err := a.Validate(); err != nil {
				t.Errorf("loaded but invalid: %v", err)
			}
		} else if !errors.Is(err1, config.ErrInvalid) {
			t.Errorf("error of a file is not an invalid configuration: %v", err1)
		}
	})
}
