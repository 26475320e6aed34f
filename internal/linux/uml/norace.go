//go:build !race

package uml

const race = false
