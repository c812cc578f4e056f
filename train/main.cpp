#include <cstdio>

int main() { std::puts("hinoki"); }
