package archtest_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	defectRow    = regexp.MustCompile(`^\| ((?:API-)?D-?\d+) \| (.+) \| (.+) \|$`)
	defectTest   = regexp.MustCompile("^`([a-z/0-9]+) (Test\\w+)(?:/([\\w-]+))?`$")
	defectFile   = regexp.MustCompile("^`([a-z/0-9_]+\\.story)`$")
	namedTest    = regexp.MustCompile("`([a-z/0-9]+) (Test\\w+)`")
	testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	// subtestName is how the tables of the tests called TestDefects write a number.
	subtestName = regexp.MustCompile(`"((?:API-)?D-?\d+)"`)
)

// TestEveryKnownDefectIsRuledOutByATest reads the table of defects: each row names
// tests that exist, and each test of a table called TestDefects has its row.
func TestEveryKnownDefectIsRuledOutByATest(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join("..", "reference", "defects.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{} // package to the text of its tests
	for _, f := range parseModule(t) {
		if f.test {
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.path)))
			if err != nil {
				t.Fatal(err)
			}
			tests[f.pkg] += string(text)
		}
	}
	var seen []string
	used := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		row := defectRow.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			continue
		}
		number := row[1]
		if slices.Contains(seen, number) {
			t.Errorf("%s has two rows", number)
		}
		seen = append(seen, number)
		for name := range strings.SplitSeq(row[3], ", ") {
			if m := defectFile.FindStringSubmatch(name); m != nil {
				if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(m[1]))); err != nil {
					t.Errorf("%s: %v", number, err)
				}
				continue
			}
			m := defectTest.FindStringSubmatch(name)
			if m == nil {
				t.Errorf("%s: %s is neither a test nor a story", number, name)
				continue
			}
			text := tests[path.Clean(m[1])]
			if !strings.Contains(text, "func "+m[2]+"(t *testing.T)") {
				t.Errorf("%s: there is no %s in %s", number, m[2], m[1])
			}
			if m[3] != "" && !strings.Contains(text, `"`+m[3]) {
				t.Errorf("%s: %s of %s has no case %s", number, m[2], m[1], m[3])
			}
			used[m[1]+" "+m[3]] = true
		}
	}
	if len(seen) < 80 {
		t.Errorf("%d rows; was the table's form changed?", len(seen))
	}
	for pkg, text := range tests {
		if !strings.Contains(text, "func TestDefects(t *testing.T)") {
			continue
		}
		for _, m := range subtestName.FindAllStringSubmatch(text, -1) {
			if !used[pkg+" "+m[1]] {
				t.Errorf("%s tests %s, which has no row that says so", pkg, m[1])
			}
		}
	}
}

// TestTestsNamedInPagesExist: a page that leans on a test must not outlive it.
func TestTestsNamedInPagesExist(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	for _, f := range parseModule(t) {
		if !f.test {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(f.path)))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunction.FindAllStringSubmatch(string(text), -1) {
			tests[f.pkg+" "+m[1]] = true
		}
	}
	page, err := os.ReadFile(filepath.Join("..", "explanation", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := namedTest.FindAllStringSubmatch(string(page), -1)
	if len(named) == 0 {
		t.Error("the page names no test")
	}
	for _, m := range named {
		if !tests[m[1]+" "+m[2]] {
			t.Errorf("there is no test %s in %s", m[2], m[1])
		}
	}
}
