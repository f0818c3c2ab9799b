//! Steers a new connection to a listener core on the CPU that received its packets, by a classic
//! BPF program on the SO_REUSEPORT group. Without it the kernel spreads connections by hash.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::net::Bound;

/// One instruction of classic BPF: operation, jump if true, jump if false, operand.
type Instruction = (u16, u8, u8, u32);

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const MODULO: u16 = (libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Where the kernel's extensions to classic BPF start (SKF_AD_OFF), and two of them.
const EXTENSION: u32 = -0x1000_i32 as u32;
const RECEIVING_CPU: u32 = EXTENSION + 36;
const RANDOM: u32 = EXTENSION + 56;

/// An index no socket has: the kernel falls back to its hash.
const BY_HASH: u32 = u32::MAX;

/// Most listener cores a program is written for: classic BPF ends at 4,096 instructions.
const CORES_MAX: usize = 512;

/// The program: for the CPU that received the packet, one of the sockets whose core runs there
/// (several: at random); for any other CPU, the kernel's hash. `cpus[i]` is the CPU of socket `i`.
fn program(cpus: &[usize]) -> Vec<Instruction> {
    let mut distinct: Vec<usize> = cpus.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut code = vec![(LOAD, 0, 0, RECEIVING_CPU)];
    for cpu in distinct {
        let sockets: Vec<u32> =
            (0_u32..).zip(cpus).filter_map(|(socket, &on)| (on == cpu).then_some(socket)).collect();
        let branch = pick_one(&sockets);
        // A conditional jump reaches 255 instructions; one `ret` behind a longer branch never runs.
        let Ok(skip) = u8::try_from(branch.len()) else { continue };
        code.push((JUMP_EQUAL, 0, skip, u32::try_from(cpu).unwrap_or(BY_HASH)));
        code.extend(branch);
    }
    code.push((RETURN, 0, 0, BY_HASH));
    code
}

fn pick_one(sockets: &[u32]) -> Vec<Instruction> {
    let [rest @ .., last] = sockets else { return Vec::new() };
    if rest.is_empty() {
        return vec![(RETURN, 0, 0, *last)];
    }
    let count = u32::try_from(sockets.len()).unwrap_or(1);
    let mut code = vec![(LOAD, 0, 0, RANDOM), (MODULO, 0, 0, count)];
    for (chosen, &socket) in (0_u32..).zip(rest) {
        code.push((JUMP_EQUAL, 0, 1, chosen));
        code.push((RETURN, 0, 0, socket));
    }
    code.push((RETURN, 0, 0, *last));
    code
}

/// Attaches the program to the group that `group` belongs to. `cpus[i]` is the CPU of the core that
/// gets the `i`-th socket bound to the address.
pub fn attach(group: &Bound, cpus: &[usize]) -> io::Result<()> {
    if cpus.len() > CORES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many cores to steer"));
    }
    let mut code: Vec<libc::sock_filter> = program(cpus)
        .into_iter()
        .map(|(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k })
        .collect();
    let length = u16::try_from(code.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: code.as_mut_ptr() };
    let size = u32::try_from(size_of::<libc::sock_fprog>()).unwrap_or(0);
    // SAFETY: `program` and the instructions it points to live past the call; the kernel copies
    // them.
    let result = unsafe {
        libc::setsockopt(
            group.descriptor().as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::net::{BindOptions, bind};

    /// Runs a program as the kernel would, with the CPU and the random number given.
    fn run(code: &[Instruction], cpu: u32, random: u32) -> u32 {
        let (mut accumulator, mut at) = (0, 0);
        loop {
            let (operation, jump_true, jump_false, operand) = code[at];
            at += 1;
            match operation {
                LOAD if operand == RECEIVING_CPU => accumulator = cpu,
                LOAD => accumulator = random,
                MODULO => accumulator %= operand,
                JUMP_EQUAL if accumulator == operand => at += usize::from(jump_true),
                JUMP_EQUAL => at += usize::from(jump_false),
                _ => return operand,
            }
        }
    }

    #[test]
    fn a_cpu_gets_its_own_cores_and_every_one_of_them() {
        let code = program(&[0, 1, 0, 1, 0]);
        let on_cpu_0: Vec<u32> = (0..3).map(|random| run(&code, 0, random)).collect();
        assert_eq!(on_cpu_0, [0, 2, 4]);
        assert_eq!([run(&code, 1, 0), run(&code, 1, 1)], [1, 3]);
        assert_eq!(run(&code, 7, 0), BY_HASH);
    }

    #[test]
    fn the_kernel_takes_the_program() {
        let options = BindOptions { cores: 4, backlog: 16 };
        let group = bind("127.0.0.1:0".parse().expect("a literal"), options).expect("port 0");
        attach(&group[0], &[0, 1, 0, 1]).expect("the kernel verifies and takes it");
    }
}
