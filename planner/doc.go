// Package planner compares definitions with a disk and says what to do: pure
// functions from values to a Plan. It opens nothing, asks nothing and draws no
// random number; everything it needs is in its arguments.
package planner
