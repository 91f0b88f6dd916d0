#define_import_path gatefold::matrix

// What kernels on matrix units have in common. A workgroup computes a tile of 4 x 4 matrices in quarters that its subgroups take
// among themselves. Subgroups of 32 take a quarter each. Smaller ones are more than there are quarters: the rest do the same again
// and store the same numbers. Larger ones are fewer, and take several rounds.

alias Left = coop_mat#{SIDE}x#{SIDE}<f16, A>;
alias Right = coop_mat#{SIDE}x#{SIDE}<f16, B>;
alias Sum = coop_mat#{SIDE}x#{SIDE}<f32, C>;

const LANES: u32 = 128u;
const SIDE: u32 = #{SIDE}u;
const HALF: u32 = 2u * SIDE;
const TILE: u32 = 4u * SIDE;
const QUARTERS: u32 = 4u;
// Steps of the sum whose factors are in workgroup memory at a time.
const DEPTH: u32 = 2u * SIDE;
// Rows of factors lie 16 bytes further apart than they are long, so that neighbours fall into other banks.
const GAP: u32 = 8u;

// Factors lie in workgroup memory as Cells: four at a time where drivers load matrices from vectors, which tells them how a row is
// aligned. Metal, which has the smaller matrices, loads them from numbers alone. (NVIDIA's compiler ends at vectors of u32.)
#if SIDE == 16
alias Cell = vec4<f16>;
const CELL: u32 = 4u;
#else
alias Cell = f16;
const CELL: u32 = 1u;
#endif

// The factors of a step, on the left and on the right of the product; a kernel says how its rows lie.
var<workgroup> left: array<Cell, TILE * (DEPTH + GAP) / CELL>;
var<workgroup> right: array<Cell, TILE * (DEPTH + GAP) / CELL>;

// Eight factors that follow each other in a row: what an invocation loads at a time. A tile has FACTORS of them.
struct Eight {
    a: vec4<f32>,
    b: vec4<f32>,
}
const FACTORS: u32 = TILE * DEPTH / 8u;
// Each invocation takes one or two of them.
const ROUNDS: u32 = (FACTORS + LANES - 1u) / LANES;

fn keep_left(to: u32, v: Eight) {
#if SIDE == 16
    left[to / 4u] = vec4<f16>(v.a);
    left[to / 4u + 1u] = vec4<f16>(v.b);
#else
    left[to] = f16(v.a.x);
    left[to + 1u] = f16(v.a.y);
    left[to + 2u] = f16(v.a.z);
    left[to + 3u] = f16(v.a.w);
    left[to + 4u] = f16(v.b.x);
    left[to + 5u] = f16(v.b.y);
    left[to + 6u] = f16(v.b.z);
    left[to + 7u] = f16(v.b.w);
#endif
}

fn keep_right(to: u32, v: Eight) {
#if SIDE == 16
    right[to / 4u] = vec4<f16>(v.a);
    right[to / 4u + 1u] = vec4<f16>(v.b);
#else
    right[to] = f16(v.a.x);
    right[to + 1u] = f16(v.a.y);
    right[to + 2u] = f16(v.a.z);
    right[to + 3u] = f16(v.a.w);
    right[to + 4u] = f16(v.b.x);
    right[to + 5u] = f16(v.b.y);
    right[to + 6u] = f16(v.b.z);
    right[to + 7u] = f16(v.b.w);
#endif
}

// A finished matrix of each quarter, on its way to storage.
var<workgroup> finished: array<f32, QUARTERS * SIDE * SIDE>;
const FINISHED: u32 = SIDE * SIDE / 4u;

// Four neighbours of the finished matrices. There are FINISHED in each.
fn quad(item: u32) -> vec4<f32> {
    let i = item * 4u;
    return vec4<f32>(finished[i], finished[i + 1u], finished[i + 2u], finished[i + 3u]);
}

// Where they lie, counted from the first number of the first quarter's matrix: row, and column in vec4.
fn place(first: u32, item: u32) -> vec2<u32> {
    let quarter = first + item / FINISHED;
    let inside = item % FINISHED;
    return vec2<u32>(
        quarter / 2u * HALF + inside / (SIDE / 4u),
        quarter % 2u * (HALF / 4u) + inside % (SIDE / 4u),
    );
}
