package jobspec

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Limits of a job file. The parser of the hcl library recurses without a bound
// and its lexer does not, so nesting is counted on tokens first.
const (
	FileBytesMax   = fleet.JobSpecBytesMax // one job file, variable file or file() result
	nestingMax     = 48                    // brackets, templates and blocks within each other
	conditionsMax  = 500                   // ?: and %{ … } in one file: each nests the rest of its line
	operatorRunMax = 16                    // !!!! and ---- before one operand
	operatorsMax   = 10_000                // in one file: a + b + c nests to the left
	blocksMax      = 20_000
)

// checkLimits refuses what would cost too much to parse.
func checkLimits(filename string, src []byte, r *report) bool {
	start := hcl.Range{Filename: filename}
	if len(src) > FileBytesMax {
		r.at(start, fmt.Sprintf("the file has %d bytes", len(src)), fmt.Sprintf("at most %d", FileBytesMax))
		return false
	}
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos) // the parser repeats what it finds
	depth, conditions, run, operators, blocks := 0, 0, 0, 0, 0
	for _, t := range tokens {
		if t.Type != hclsyntax.TokenMinus && t.Type != hclsyntax.TokenBang {
			run = 0
		}
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			depth++
			blocks++
		case hclsyntax.TokenTemplateControl:
			depth++
			conditions++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen,
			hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			depth = max(0, depth-1)
		case hclsyntax.TokenQuestion:
			conditions++
		case hclsyntax.TokenMinus, hclsyntax.TokenBang:
			run++
			operators++
		case hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenAnd,
			hclsyntax.TokenOr, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan,
			hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq:
			operators++
		}
		switch {
		case depth > nestingMax:
			r.at(t.Range, "the file is nested too deeply", fmt.Sprintf("at most %d levels", nestingMax))
		case conditions > conditionsMax:
			r.at(t.Range, "the file has too many conditions", fmt.Sprintf("at most %d", conditionsMax))
		case run > operatorRunMax:
			r.at(t.Range, "too many operators in a row", "")
		case operators > operatorsMax:
			r.at(t.Range, "the file has too many operators", fmt.Sprintf("at most %d", operatorsMax))
		case blocks > blocksMax:
			r.at(t.Range, "the file has too many blocks, lists and strings", fmt.Sprintf("at most %d", blocksMax))
		default:
			continue
		}
		return false
	}
	return true
}
