package executor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/sealpart/sealpart/planner/plan"
)

// byTheTable lists the kinds of action that the one write of the table does.
var byTheTable = []string{"grow"}

// TestEveryKindIsDone: every kind of action is a case of a switch over actions in apply.go,
// or is done by the table. A kind that the executor forgot would do nothing, silently.
func TestEveryKindIsDone(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "apply.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var done []string
	ast.Inspect(file, func(n ast.Node) bool {
		clause, ok := n.(*ast.CaseClause)
		if !ok {
			return true
		}
		for _, e := range clause.List {
			if s, ok := e.(*ast.SelectorExpr); ok {
				done = append(done, strings.ToLower(s.Sel.Name))
			}
		}
		return true
	})
	for _, kind := range plan.Kinds() {
		if !slices.Contains(done, kind) && !slices.Contains(byTheTable, kind) {
			t.Errorf("nothing does %q", kind)
		}
	}
}
