package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// file is what the rules look at in one Go file.
type file struct {
	path, pkg, name string
	test            bool
	doc             string
	imports         []imported
	uses            []imported // "path.Name", where path is imported
	goroutines      []string
	inits           []string
}

// imported is a path and where it stands.
type imported struct{ path, pos string }

// The tree is parsed once for all tests of this package.
var parsed = sync.OnceValues(func() ([]*file, error) { return parseTree(filepath.Join("..", "..")) })

func parseModule(t *testing.T) []*file {
	t.Helper()
	files, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found %d Go files; is this still two levels below the root?", len(files))
	}
	return files
}

func parseTree(root string) ([]*file, error) {
	var files []*file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f, err := parseFile(p, filepath.ToSlash(rel))
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func parseFile(p, rel string) (*file, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, p, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	pos := func(n ast.Node) string { return rel + ":" + strconv.Itoa(fset.Position(n.Pos()).Line) }
	f := &file{path: rel, pkg: path.Dir(rel), name: syntax.Name.Name, test: strings.HasSuffix(rel, "_test.go"), doc: syntax.Doc.Text()}
	locals := map[string]string{}
	for _, spec := range syntax.Imports {
		ip, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		f.imports = append(f.imports, imported{ip, pos(spec)})
		local := path.Base(ip)
		// "v2" and ".go" are not part of a package's name.
		if strings.HasPrefix(local, "v") && strings.Trim(local[1:], "0123456789") == "" {
			local = path.Base(path.Dir(ip))
		}
		local = strings.TrimSuffix(local, ".go")
		if spec.Name != nil {
			local = spec.Name.Name
		}
		locals[local] = ip
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && locals[x.Name] != "" {
				f.uses = append(f.uses, imported{locals[x.Name] + "." + n.Sel.Name, pos(n)})
			}
		case *ast.GoStmt:
			f.goroutines = append(f.goroutines, pos(n))
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				f.inits = append(f.inits, pos(n))
			}
		}
		return true
	})
	return f, nil
}
